"""Nothing of the platform may be needed for containers to live, and nothing it leaves when it is killed may stay."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from containers import eventually
from pyroute2 import IPRoute

from skypanel.drivers.runtime.oci.monitor import monitor_of
from skypanel.drivers.runtime.oci.records import State, write_state
from skypanel.drivers.runtime.oci.subnet import link_prefix
from skypanel.drivers.runtime.port import ContainerStatus

pytestmark = pytest.mark.root

STARTER = """
import sys
from ipaddress import IPv4Network
from pathlib import Path
from skypanel.drivers.runtime.oci import OciRuntime
from skypanel.drivers.runtime.port import ContainerKind, ContainerSpec, Limits, RunLimits
data, instance, subnet, layer, verb, id = sys.argv[1:]
runtime = OciRuntime(data_dir=Path(data), instance=instance, subnet=IPv4Network(subnet), node="here")
spec = ContainerSpec(id=id, kind=ContainerKind.REPLICA, app_id="a", organization_id="o", name="web.1",
    command=["/bin/sleep", "600"], env={}, uid=31236, limits=Limits(500, 64, 16), layers=[Path(layer)], port=True)
print("go", flush=True)
if verb == "start":
    runtime.start(spec); print("started", flush=True); sys.stdin.read()
else:
    runtime.run(spec, limits=RunLimits(600, 1000), on_output=print, cancelled=lambda: False)
"""


def starter(platform, verb: str, container_id: str) -> subprocess.Popen[str]:
    arguments = [
        str(platform.data_dir),
        platform.instance,
        str(platform.subnet),
        str(platform.layer),
        verb,
        container_id,
    ]
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "go\n"
    return process


def kill_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def traces(platform) -> dict[str, object]:
    """Everything on the machine that belongs to containers of this platform."""
    with IPRoute() as ip:
        names = [str(link.get_attr("IFLA_IFNAME")) for link in ip.get_links()]
    processes = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(platform.data_dir) in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                processes.append((entry / "cmdline").read_bytes().split(b"\0")[:1])
        except OSError:
            continue
    loops = [
        file.read_text()
        for file in Path("/sys/block").glob("loop*/loop/backing_file")
        if str(platform.data_dir) in file.read_text()
    ]
    state = platform.runtime.places
    return {
        "links": [name for name in names if name.startswith(link_prefix(platform.instance))],
        "processes": processes,
        "loops": loops,
        "mounts": [
            line for line in Path("/proc/self/mounts").read_text().splitlines() if str(platform.data_dir) in line
        ],
        "bundles": [path.name for path in state.containers.iterdir()],
        "addresses": [path.name for path in state.addresses.iterdir()],
        "runc": [path.name for path in state.runc.iterdir()],
        "exits": [path.name for path in state.exits.iterdir()],
        "cgroups": sorted(
            platform.runtime._cgroups.children(state.cgroup) | platform.runtime._cgroups.children(state.monitors)
        ),
    }


def test_nothing_is_left_after_remove(platform) -> None:
    container = platform.serve()
    platform.runtime.remove(container.id)
    eventually(lambda: not any(traces(platform).values()))


@pytest.mark.parametrize("verb", ["start", "run"])
@pytest.mark.parametrize("moment", range(6))
def test_a_starter_killed_in_the_middle_leaves_nothing_that_remove_does_not_clear(
    platform, verb: str, moment: int
) -> None:
    delay_s = random.Random(f"{verb}{moment}").uniform(0.0, 0.03) + moment * 0.015
    process = starter(platform, verb, "torn")
    time.sleep(delay_s)
    kill_group(process)
    platform.runtime.remove("torn")
    eventually(lambda: not any(traces(platform).values()))


def test_the_next_start_clears_what_a_killed_one_left(platform) -> None:
    for moment in range(4):
        process = starter(platform, "start", "again")
        time.sleep(0.02 + 0.02 * moment)
        kill_group(process)
    container = platform.runtime.start(platform.spec(["/bin/sleep", "600"], id="again"))
    assert container.status is ContainerStatus.RUNNING
    found = traces(platform)
    assert len(found["links"]) == len(found["addresses"]) == len(found["cgroups"]) == 1
    platform.runtime.remove("again")
    eventually(lambda: not any(traces(platform).values()))


def test_addresses_whose_taker_died_come_back(platform) -> None:
    lost = platform.runtime.places.addresses / "77"
    lost.write_text("never-started")
    platform.runtime.prepare()
    assert lost.exists(), "its taker may be just about to use it"
    os.utime(lost, (0, 0))
    platform.runtime.prepare()
    assert not lost.exists()


def test_containers_survive_the_death_of_the_platform_and_are_found_again(platform) -> None:
    process = starter(platform, "start", "survivor")
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    kill_group(process)
    container = platform.runtime.get("survivor")
    assert container.status is ContainerStatus.RUNNING
    monitor = monitor_of(platform.runtime.places.bundle("survivor"))
    assert os.getpgid(monitor.pid) != process.pid
    platform.runtime.stop("survivor", grace_s=5)
    assert platform.runtime.get("survivor").exit_code == 143


def test_a_container_is_stopped_politely_in_its_first_milliseconds(platform) -> None:
    for _ in range(8):
        container = platform.runtime.start(platform.spec(["/bin/sleep", "600"]))
        platform.runtime.stop(container.id, grace_s=10)
        assert platform.runtime.get(container.id).exit_code == 143


def test_a_monitor_is_outside_of_the_cgroups_of_its_starter(platform) -> None:
    container = platform.serve()
    monitor = monitor_of(platform.runtime.places.bundle(container.id))
    ours = set(Path("/proc/self/cgroup").read_text().splitlines())
    for line in set(Path(f"/proc/{monitor.pid}/cgroup").read_text().splitlines()) - ours:
        assert f"skypanel-{platform.instance}-monitors" in line
    memory = [
        line
        for line in Path(f"/proc/{monitor.pid}/cgroup").read_text().splitlines()
        if "memory" in line or line[:2] == "0:"
    ]
    assert all(f"skypanel-{platform.instance}-monitors" in line for line in memory)


def test_after_a_reboot_containers_are_exited_and_can_be_started_again(platform) -> None:
    spec = platform.spec(["/bin/sleep", "600"])
    platform.runtime.start(spec)
    state = platform.runtime.places.bundle(spec.id) / "state.json"
    record = json.loads(state.read_text())
    os.kill(record["pid"], signal.SIGKILL)
    eventually(lambda: platform.runtime.get(spec.id).status is ContainerStatus.EXITED)
    # As if the machine had been restarted: another boot, and the number belongs to somebody else now.
    state.write_text(json.dumps(record | {"boot": "another", "pid": 1}))
    platform.runtime.places.exit_file(spec.id).unlink(missing_ok=True)
    assert platform.runtime.get(spec.id).status is ContainerStatus.EXITED
    assert platform.runtime.start(spec).status is ContainerStatus.RUNNING


def test_a_full_log_is_started_anew_and_still_read(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skypanel.drivers.runtime.oci.monitor.LOG_MAX_BYTES", 20_000)
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i of many; i=$((i+1)); done; echo the end"
    container = platform.runtime.start(platform.spec(["/bin/sh", "-c", script]))
    eventually(lambda: platform.runtime.get(container.id).exit_code == 0)
    eventually(lambda: "the end" in platform.runtime.last_lines(container.id, 1))
    assert container.log.stat().st_size <= 21_000


def test_a_start_that_fails_says_why_and_leaves_nothing(platform) -> None:
    from skypanel.drivers.runtime.port import RuntimeFailed

    with pytest.raises(RuntimeFailed, match=r"hello.txt: not a directory"):
        platform.runtime.start(platform.spec(["/bin/true"], workdir="/app/hello.txt/nowhere"))
    eventually(lambda: not any(traces(platform).values()))


def test_a_container_that_dies_before_it_is_started_does_not_hold_the_starter(
    platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skypanel.drivers.runtime.oci import starter as module
    from skypanel.drivers.runtime.port import RuntimeFailed

    def then_killed(bundle: Path, state: State) -> None:
        write_state(bundle, state)
        state.process.kill()
        state.process.wait(5)

    monkeypatch.setattr(module, "write_state", then_killed)
    with pytest.raises(RuntimeFailed, match="died before"):
        platform.runtime.start(platform.spec(["/bin/sleep", "600"]))
    eventually(lambda: not any(traces(platform).values()))


def test_without_loop_devices_a_run_is_still_limited(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    from skypanel.drivers.runtime.oci import starter as module
    from skypanel.drivers.runtime.oci.disk import LoopMissing

    def missing(**_: object) -> None:
        raise LoopMissing("no loop devices")

    monkeypatch.setattr(module, "writable_layer", missing)
    script = "dd if=/dev/zero of=/app/big bs=1M count=64 && sleep 60"
    result, _ = platform.shell(script)
    assert result.disk_exceeded
    container = platform.runtime.start(platform.spec(["/bin/sh", "-c", script]))
    assert list(platform.runtime.wait_for_exits(30)) == [container.id]
    assert platform.runtime.get(container.id).exit_code == 137
    platform.runtime.remove(container.id)
    eventually(lambda: not any(traces(platform).values()))


def test_without_tini_the_shell_reaps_and_passes_signals_on(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from skypanel.drivers.runtime.oci.starter import SHELL_INIT

    plain = platform.runtime._starter
    monkeypatch.setattr(platform.runtime, "_starter", replace(plain, programs=replace(plain.programs, init=SHELL_INIT)))
    container = platform.serve()
    url = f"http://{container.address}:{container.port}/"
    eventually(lambda: _ok(url))
    platform.runtime.stop(container.id, grace_s=10)
    assert platform.runtime.get(container.id).exit_code == 143
    assert platform.shell("exit 9")[0].code == 9


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_container_whose_monitor_is_killed_is_ended_and_reported_at_once(platform):
    runtime = platform.runtime
    container = runtime.start(platform.spec(["/bin/sleep", "60"]))
    monitor = monitor_of(runtime.places.bundle(container.id))
    assert monitor is not None
    runtime.wait_for_exits(0)
    monitor.kill()
    assert container.id in runtime.wait_for_exits(20)
    found = runtime.get(container.id)
    assert (found.status, found.exit_code) == (ContainerStatus.EXITED, 137)
