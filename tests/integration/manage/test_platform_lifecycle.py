"""The real platform: started, its process manager killed, started again, stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from skypanel.manage.pids import alive
from skypanel.manage.preflight import free_port, holder_of

pytestmark = pytest.mark.root
COMMAND = [sys.executable, "-P", "-c", "from skypanel.manage.main import main; main()"]
PATIENCE_S = 90.0


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.05)


class Platform:
    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SKYPANEL_")}
        own = {"SKYPANEL_DATA_DIR": data_dir, "SKYPANEL_HTTP_PORT": self.port, "SKYPANEL_HTTPS_PORT": free_port()}
        self.environment = kept | {name: str(value) for name, value in own.items()}
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=120)

    def up(self) -> subprocess.Popen[bytes]:
        log = (self.data_dir.parent / "up.log").open("ab")
        started = subprocess.Popen(
            [*COMMAND, "up"], env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self.started.append(started)
        until(lambda: self.serves(started) or started.poll() is not None, "readiness")
        assert started.poll() is None, (self.data_dir.parent / "up.log").read_text()
        return started

    def serves(self, started: "subprocess.Popen[bytes]") -> bool:
        """Ready, and by the processes of this start, not by those of one before."""
        parents = {self.parent(pid) for pid in self.processes().values()}
        return holder_of(self.data_dir) == started.pid and parents == {started.pid} and self.ready()

    def parent(self, pid: int | None) -> int | None:
        try:
            return None if pid is None else int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            return None

    def ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def processes(self) -> dict[str, int | None]:
        return {name: alive(self.data_dir / "supervise", name) for name in ("server", "worker", "router")}


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)  # as `mktemp -d` makes it: the server's user must get through nevertheless
    made = Platform(closed / "data")
    yield made
    ended = made.run("down", "--apps")
    for started in made.started:
        if ended.returncode != 0 and started.poll() is None:
            started.kill()  # so that a failed `down` fails this test instead of waiting for ever
        started.wait(PATIENCE_S)
    assert ended.returncode == 0 or not made.started, ended.stderr


def test_start_kill_start_and_stop(platform: Platform) -> None:
    first = platform.up()
    before = platform.processes()
    instance = json.loads((platform.data_dir / "instance.json").read_text())
    status = Path(f"/proc/{before['server']}/status").read_text()
    assert f"Uid:\t{instance['uid']}\t" in status
    assert "CapEff:\t0000000000000000" in status

    refused = platform.run("up")
    assert refused.returncode == 1
    assert f"process {first.pid}" in refused.stderr

    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert platform.ready()
    assert platform.processes() == before

    second = platform.up()
    assert holder_of(platform.data_dir) == second.pid
    after = platform.processes()
    assert all(pid is not None for pid in after.values())
    assert not set(before.values()) & set(after.values())
    assert json.loads((platform.data_dir / "instance.json").read_text()) == instance

    os.kill(after["server"] or 0, signal.SIGKILL)
    until(lambda: platform.processes()["server"] not in (None, after["server"]), "a new server")
    until(platform.ready, "readiness after the server was killed")
    assert platform.processes()["worker"] == after["worker"]

    done = platform.run("down")
    assert done.stdout == "The platform is stopped.\n"
    assert second.wait() == 0
    assert set(platform.processes().values()) == {None}
    assert not platform.ready()
    assert platform.run("down").stdout == "No platform was running.\n"


def test_a_setting_that_is_wrong_is_one_line(platform: Platform) -> None:
    platform.environment["SKYPANEL_HTTP_PORT"] = "eighty"
    done = platform.run("up")
    assert done.returncode == 2
    assert "SKYPANEL_HTTP_PORT" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    platform.environment["SKYPANEL_HTTP_PORT"] = "8080"


def test_doctor_of_this_machine_finds_nothing_that_blocks(platform: Platform) -> None:
    done = platform.run("doctor", "--json")
    blocking = [finding for finding in json.loads(done.stdout) if not finding["ok"] and finding["blocks"]]
    assert blocking == []
    assert done.returncode == 0
    assert not platform.data_dir.exists()


def test_the_demo_answers_writes_what_it_made_and_leaves_nothing(platform: Platform) -> None:
    written = platform.data_dir / "demo.json"
    for attempt in ("first", "second"):
        log = (platform.data_dir.parent / f"{attempt}.log").open("wb")
        running = subprocess.Popen(
            [*COMMAND, "demo"], env=platform.environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        platform.started.append(running)
        until(lambda: b"Ctrl-C ends" in Path(log.name).read_bytes() or running.poll() is not None, "the demo")  # noqa: B023
        assert running.poll() is None, Path(log.name).read_text()
        assert written.stat().st_mode & 0o777 == 0o600
        content = json.loads(written.read_text())
        assert set(content) == {"dashboard", "api", "email", "password", "token", "organization_id", "app", "balance"}
        assert content["app"] == {"slug": "hello", "url": f"http://hello.apps.localhost:{platform.port}"}
        host = {"Host": "hello.apps.localhost"}
        answer = httpx.get(f"http://127.0.0.1:{platform.port}/", headers=host, timeout=10, trust_env=False)
        assert (answer.status_code, answer.text.startswith("Hello")) == (200, True)

        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(timeout=PATIENCE_S) == 0
        assert set(platform.processes().values()) == {None}
        assert list((platform.data_dir / "containers").iterdir()) == []
        assert left_on_the_machine(platform) == []
    assert platform.run("doctor").returncode == 0
    assert left_on_the_machine(platform) == []


def left_on_the_machine(platform: Platform) -> list[str]:
    identifier = json.loads((platform.data_dir / "instance.json").read_text())["id"]
    listed = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        for command in (["nft", "list", "tables"], ["ip", "-br", "link"], ["ip", "netns"])
    ]
    control_groups = [str(path) for path in Path("/sys/fs/cgroup").glob("**/skypanel-*")]
    found = [line for lines in [*listed, control_groups] for line in lines]
    return [line for line in found if identifier in line or f"sky{identifier[:6]}" in line]
