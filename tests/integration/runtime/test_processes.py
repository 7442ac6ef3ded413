"""What is particular to plain processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import eventually

from skypanel.drivers.runtime.port import Bind, ContainerKind, ContainerSpec, ContainerStatus, Limits, RunLimits
from skypanel.drivers.runtime.process import ProcessRuntime


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[ProcessRuntime]:
    runtime = ProcessRuntime(data_dir=tmp_path / "data", node="here")
    runtime.prepare()
    yield runtime
    runtime.destroy()
    runtime.close()


def spec(script: str, **changes: object) -> ContainerSpec:
    values = {
        "id": "p", "kind": ContainerKind.REPLICA, "app_id": "a", "organization_id": "o", "name": "web.1",
        "command": ["/bin/sh", "-c", script], "env": {}, "uid": os.getuid(),
        "limits": Limits(cpu_millis=500, memory_mb=64, disk_mb=8),
    }  # fmt: skip
    return ContainerSpec(**(values | changes))  # type: ignore[arg-type]


def output(runtime: ProcessRuntime, each: ContainerSpec) -> str:
    lines: list[bytes] = []
    runtime.run(each, limits=RunLimits(30, 100_000), on_output=lines.append, cancelled=lambda: False)
    return b"".join(lines).decode()


def layer(tmp_path: Path, name: str, files: dict[str, str]) -> Path:
    for file, text in files.items():
        path = tmp_path / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / name


def test_it_says_that_it_trusts(runtime: ProcessRuntime) -> None:
    assert runtime.trusted


def test_one_layer_is_the_working_directory_itself(runtime: ProcessRuntime, tmp_path: Path) -> None:
    one = layer(tmp_path, "one", {"a.txt": "a"})
    assert output(runtime, spec("pwd; cat /app/a.txt; echo $HOME $APP_DIR", layers=[one])) == f"{one}\na{one} {one}\n"


def test_several_layers_are_merged_topmost_first(runtime: ProcessRuntime, tmp_path: Path) -> None:
    top = layer(tmp_path, "top", {"a.txt": "top ", "sub/b.txt": "b "})
    low = layer(tmp_path, "low", {"a.txt": "low ", "sub/c.txt": "c "})
    assert output(runtime, spec("cat a.txt sub/b.txt sub/c.txt; echo", layers=[top, low])) == "top b c \n"
    assert (top / "a.txt").exists()


def test_binds_are_found_under_the_name_they_have_inside(runtime: ProcessRuntime, tmp_path: Path) -> None:
    cache = layer(tmp_path, "elsewhere", {"x": "cached"})
    each = spec("cat /cache/x; echo; echo $WHERE", binds=[Bind(cache, "/cache")], env={"WHERE": "/cache/x"})
    assert output(runtime, each) == f"cached\n{cache}/x\n"


def test_children_with_sessions_of_their_own_end_with_the_program(runtime: ProcessRuntime, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    runtime.start(spec(f"setsid sh -c 'echo $$ > {file}; exec sleep 600' & wait"))
    pid = int(eventually(lambda: file.exists() and file.read_text().strip()))
    runtime.remove("p")
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_program_does_not_outlive_its_shim(runtime: ProcessRuntime, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    runtime.start(spec(f"echo $$ > {file}; exec sleep 600"))
    pid = int(eventually(lambda: file.exists() and file.read_text().strip()))
    shim = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert os.getsid(shim) != os.getsid(0)
    os.kill(shim, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    container = runtime.get("p")
    assert container is not None
    assert container.status is ContainerStatus.EXITED
