from __future__ import annotations

import json
import socket
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from containers import House, eventually

from skypanel.drivers.runtime.port import (
    Bind,
    Container,
    ContainerKind,
    ContainerStatus,
    Exit,
    Group,
    Limits,
    RunLimits,
    Runtime,
    RuntimeFailed,
)
from skypanel.kit.secret import Secret

LIMITS = RunLimits(time_s=30, output_bytes=1_000_000, grace_s=0.5)


def ask(container: Container) -> dict[str, Any]:
    def once() -> Any:
        try:
            with urllib.request.urlopen(f"http://{container.address}:{container.port}/x", timeout=5) as answer:
                return json.loads(answer.read())
        except OSError:
            return None

    return dict(eventually(once))


def printed(runtime: Runtime, container_id: str, word: str) -> None:
    eventually(lambda: word in runtime.last_lines(container_id, 10))


def ended(runtime: Runtime, container_id: str) -> Container:
    def look() -> Container | None:
        container = runtime.get(container_id)
        assert container is not None
        return container if container.status is ContainerStatus.EXITED and container.exit_code is not None else None

    found = eventually(look)
    assert isinstance(found, Container)
    return found


def run(house: House, runtime: Runtime, program: str, **changes: Any) -> tuple[Exit, list[bytes]]:
    limits = changes.pop("run_limits", LIMITS)
    cancelled = changes.pop("cancelled", lambda: False)
    disk_watch = changes.pop("disk_watch", ())
    lines: list[bytes] = []
    spec = house.spec(program, kind=ContainerKind.RUN, **changes)
    result = runtime.run(spec, limits=limits, on_output=lines.append, cancelled=cancelled, disk_watch=disk_watch)
    assert runtime.get(spec.id) is None, "a run leaves nothing behind"
    return result, lines


def test_a_started_container_answers_on_the_address_and_port_it_was_given(house: House, runtime: Runtime) -> None:
    container = runtime.start(house.spec("server", port=True))
    answer = ask(container)
    assert answer["env"]["PORT"] == str(container.port)
    assert answer["env"]["GREETING"] == "hello"
    assert container.status is ContainerStatus.RUNNING
    assert container.started_at is not None


def test_secrets_reach_the_program_and_nothing_that_is_printed_of_the_spec(house: House, runtime: Runtime) -> None:
    spec = house.spec("server", port=True, env={"TOKEN": Secret("sesame-4711")})
    assert ask(runtime.start(spec))["env"]["TOKEN"] == "sesame-4711"
    assert "sesame" not in repr(spec)


def test_two_containers_with_ports_live_beside_each_other(house: House, runtime: Runtime) -> None:
    first = runtime.start(house.spec("server", port=True, env={"WHO": "first"}))
    second = runtime.start(house.spec("server", port=True, env={"WHO": "second"}))
    assert ask(first)["env"]["WHO"] == "first"
    assert ask(second)["env"]["WHO"] == "second"


def test_what_a_container_is_called_comes_back_as_it_was_given(house: House, runtime: Runtime) -> None:
    spec = house.spec("polite", app_id="app-9", organization_id="org-9", name="worker.2", kind=ContainerKind.RELEASE)
    runtime.start(spec)
    container = runtime.get(spec.id)
    assert container is not None
    assert (container.id, container.app_id, container.organization_id) == (spec.id, "app-9", "org-9")
    assert (container.name, container.kind) == ("worker.2", ContainerKind.RELEASE)
    assert [each.id for each in runtime.list()] == [spec.id]


def test_sigterm_is_honoured_and_the_exit_code_kept(house: House, runtime: Runtime) -> None:
    spec = house.spec("polite")
    runtime.start(spec)
    printed(runtime, spec.id, "ready")
    runtime.stop(spec.id, grace_s=20)
    container = ended(runtime, spec.id)
    assert container.exit_code == 0
    assert container.finished_at is not None
    assert list(runtime.last_lines(spec.id, 1)) == ["bye"]


def test_who_ignores_sigterm_is_killed_after_the_grace(house: House, runtime: Runtime) -> None:
    spec = house.spec("stubborn")
    runtime.start(spec)
    printed(runtime, spec.id, "ready")
    begun = time.monotonic()
    runtime.stop(spec.id, grace_s=0.3)
    assert time.monotonic() - begun >= 0.3
    assert ended(runtime, spec.id).exit_code == 137


def test_a_program_that_ends_by_itself_is_seen_with_its_code(house: House, runtime: Runtime) -> None:
    spec = house.spec("failing")
    runtime.start(spec)
    assert ended(runtime, spec.id).exit_code == 7
    eventually(lambda: list(runtime.last_lines(spec.id, 5)) == ["about to fail"])


def test_exits_are_reported_once_and_wake_whoever_waits(house: House, runtime: Runtime) -> None:
    spec = house.spec("failing")
    assert list(runtime.wait_for_exits(0.05)) == []
    runtime.start(spec)
    assert list(runtime.wait_for_exits(20)) == [spec.id]
    assert list(runtime.wait_for_exits(0.05)) == []


def test_exits_while_nobody_watched_are_reported_to_the_next_platform(house: House, runtime: Runtime) -> None:
    spec = house.spec("failing")
    runtime.start(spec)
    ended(runtime, spec.id)
    after_restart = house.driver()
    assert list(after_restart.wait_for_exits(5)) == [spec.id]
    assert list(after_restart.wait_for_exits(0.05)) == []


def test_an_id_that_is_used_again_is_reported_again(house: House, runtime: Runtime) -> None:
    spec = house.spec("failing")
    for _ in range(2):
        runtime.start(spec)
        assert list(runtime.wait_for_exits(20)) == [spec.id]


def test_another_driver_object_finds_and_stops_what_this_one_started(house: House, runtime: Runtime) -> None:
    spec = house.spec("server", port=True)
    container = runtime.start(spec)
    ask(container)
    after_restart = house.driver()
    after_restart.prepare()
    found = after_restart.get(spec.id)
    assert found is not None
    assert found == container
    assert ask(found)
    after_restart.stop(spec.id, grace_s=20)
    assert ended(runtime, spec.id).exit_code == 143


def test_who_stays_answers_at_its_address_when_others_of_its_group_are_retired(house: House, runtime: Runtime) -> None:
    specs = [
        house.spec("server", id=f"web-{n}", name=f"web.{n}", port=True, group=Group("shop-v1", n, 3), drain_s=10)
        for n in (1, 2, 3)
    ]
    for spec in specs:
        ask(runtime.start(spec))
    runtime.retire([spec.id for spec in specs[1:]])
    stays = runtime.get(specs[0].id)
    assert stays is not None
    for spec in specs[1:]:
        runtime.stop(spec.id, grace_s=5)
        ended(runtime, spec.id)
    assert runtime.get(specs[0].id) == stays
    assert stays.status is ContainerStatus.RUNNING
    ask(stays)


def test_start_replaces_what_has_the_same_id(house: House, runtime: Runtime) -> None:
    runtime.start(house.spec("server", id="same", port=True, env={"GENERATION": "1"}))
    container = runtime.start(house.spec("server", id="same", port=True, env={"GENERATION": "2"}))
    assert ask(container)["env"]["GENERATION"] == "2"
    assert len(runtime.list()) == 1


def test_remove_can_be_repeated_and_keeps_the_log(house: House, runtime: Runtime) -> None:
    spec = house.spec("lines")
    container = runtime.start(spec)
    ended(runtime, spec.id)
    runtime.remove(spec.id)
    runtime.remove(spec.id)
    assert runtime.get(spec.id) is None
    assert list(runtime.list()) == []
    assert container.log.exists()
    assert list(runtime.last_lines(spec.id, 2)) == ["four", "five"]


def test_remove_ends_a_running_container(house: House, runtime: Runtime) -> None:
    spec = house.spec("server", port=True)
    container = runtime.start(spec)
    ask(container)
    runtime.remove(spec.id)
    with pytest.raises(OSError), socket.create_connection((str(container.address), container.port or 0), timeout=1):
        pass


def test_unknown_ids_are_no_error(runtime: Runtime) -> None:
    runtime.stop("nobody", grace_s=1)
    runtime.remove("nobody")
    assert runtime.get("nobody") is None
    assert list(runtime.last_lines("nobody", 5)) == []
    assert runtime.open_connections("nobody") == 0


@pytest.mark.parametrize("bad", ["../x", "A", "", "a/b", "x" * 65, "-rf", "a.b"])
def test_what_is_no_id_is_refused(runtime: Runtime, bad: str) -> None:
    with pytest.raises(RuntimeFailed):
        runtime.remove(bad)


def test_open_connections_are_counted_on_the_real_runtimes(house: House, runtime: Runtime) -> None:
    spec = house.spec("server", port=True)
    container = runtime.start(spec)
    ask(container)
    if house.kind == "memory":
        house.made[0].machine.connections[spec.id] = 1
        assert runtime.open_connections(spec.id) == 1
        return
    if house.kind == "swarm":  # a task's own init waits for them: tests/integration/swarm
        assert runtime.open_connections(spec.id) == 0
        return
    eventually(lambda: runtime.open_connections(spec.id) == 0)
    with socket.create_connection((str(container.address), container.port or 0), timeout=5):
        assert runtime.open_connections(spec.id) == 1
    eventually(lambda: runtime.open_connections(spec.id) == 0)


def test_a_run_hands_on_its_lines_and_its_code(house: House, runtime: Runtime) -> None:
    result, lines = run(house, runtime, "lines")
    assert result == Exit(0)
    assert lines == [b"one\n", b"two\n", b"three\n", b"four\n", b"five\n"]
    assert run(house, runtime, "failing")[0] == Exit(7)


def test_a_run_is_not_among_the_exits_of_replicas(house: House, runtime: Runtime) -> None:
    run(house, runtime, "failing")
    assert list(runtime.wait_for_exits(0.05)) == []


def test_the_last_line_of_a_run_needs_no_newline(house: House, runtime: Runtime) -> None:
    assert run(house, runtime, "no-newline")[1] == [b"whole\n", b"rest\n"]


def test_output_of_a_run_is_handed_on_while_it_runs(house: House, runtime: Runtime) -> None:
    seen: list[bytes] = []
    spec = house.spec("polite", kind=ContainerKind.RUN)
    result = runtime.run(spec, limits=LIMITS, on_output=seen.append, cancelled=lambda: bool(seen))
    assert seen[0] == b"ready\n"
    assert result.cancelled


def test_a_run_that_takes_too_long_is_ended(house: House, runtime: Runtime) -> None:
    result, _ = run(house, runtime, "stubborn", run_limits=RunLimits(time_s=0.5, output_bytes=1000, grace_s=0.1))
    assert (result.timed_out, result.cancelled, result.code) == (True, False, 137)


def test_a_run_that_says_too_much_is_ended(house: House, runtime: Runtime) -> None:
    result, lines = run(house, runtime, "chatter", run_limits=RunLimits(time_s=30, output_bytes=2000, grace_s=0.1))
    assert result.output_exceeded
    assert sum(map(len, lines)) <= 2000
    assert lines


def test_a_run_that_fills_the_disk_is_ended(house: House, runtime: Runtime, tmp_path: Path) -> None:
    directory = tmp_path / "work"
    directory.mkdir()
    directory.chmod(0o777)
    inside = "/work" if house.kind in ("oci", "swarm") else str(directory)
    result, _ = run(
        house, runtime, "filler", disk_watch=[directory], binds=[Bind(directory, "/work", writable=True)],
        env={"FILL": f"{inside}/big"}, limits=Limits(cpu_millis=1000, memory_mb=256, disk_mb=8),
    )  # fmt: skip
    assert result.disk_exceeded
    assert result.code == 137


@pytest.mark.parametrize("house", ["process", pytest.param("oci", marks=pytest.mark.root)], indirect=True)
def test_a_command_that_does_not_exist_fails_with_127(house: House, runtime: Runtime) -> None:
    lines: list[bytes] = []
    spec = house.spec("lines", command=["/nowhere/program"])
    result = runtime.run(spec, limits=LIMITS, on_output=lines.append, cancelled=lambda: False)
    assert result.code == 127
    assert b"/nowhere/program" in b"".join(lines)
