from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from skypanel.drivers.router.port import Route
from skypanel.drivers.router.traefik.child import find_binary
from skypanel.drivers.router.traefik.command import launcher_command
from skypanel.drivers.router.traefik.processes import alive, start_time
from skypanel.drivers.router.traefik.trim import trim


def test_a_taken_port_is_said_in_one_line_with_the_remedy(stopped_router) -> None:
    with socket.create_server(("127.0.0.1", stopped_router.port)):
        done = subprocess.run(launcher_command(stopped_router.config), capture_output=True, text=True, timeout=20)
    assert done.returncode == 73
    assert done.stderr == (
        f"router: port {stopped_router.port} on 127.0.0.1 is taken by another program: "
        "stop it or choose another port with --http-port (SKYPANEL_HTTP_PORT)\n"
    )


def test_a_port_of_another_skypanel_is_taken_too(router, stopped_router) -> None:
    command = launcher_command(router.config)
    command[command.index("--dir") + 1] = str(router.config.directory.parent)
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 73
    assert "is taken by another program" in done.stderr


def test_the_launcher_imports_only_the_standard_library(stopped_router) -> None:
    done = subprocess.run([*launcher_command(stopped_router.config)[:4], "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    command = launcher_command(stopped_router.config)
    assert command[1:3] == ["-I", "-S"]  # no site-packages in sight


@pytest.mark.root
def test_a_killed_launcher_leaves_its_traefik_serving_and_the_next_one_takes_over(router, replicas) -> None:
    app = replicas("one")
    route = Route(key="1", name="a", hosts=("a.test",), backends=(app.backend,))
    router.driver.put(route)
    assert router.driver.confirm(route, timeout_s=5)
    orphan = router.traefik()
    born = start_time(orphan)
    answers: list[tuple[int, str]] = []
    errors: list[OSError] = []
    over = threading.Event()

    def visit() -> None:
        while not over.is_set():
            try:
                answers.append(router.get("a.test"))
            except OSError as error:
                errors.append(error)
            time.sleep(0.005)

    visitor = threading.Thread(target=visit)
    visitor.start()
    router.launcher.kill()
    router.launcher.wait()
    time.sleep(0.1)
    router.start()
    deadline = time.monotonic() + 15
    while alive((orphan, born)) and time.monotonic() < deadline:
        time.sleep(0.05)
    over.set()
    visitor.join()
    assert not alive((orphan, born))
    assert router.traefik() != orphan
    assert errors == []
    assert set(answers) == {(200, "one")}


@pytest.mark.root
def test_a_directory_below_one_that_nobody_else_may_enter_is_served(stopped_router) -> None:
    closed = stopped_router.config.directory.parent
    closed.chmod(0o700)
    assert subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", "ls", str(closed)], capture_output=True
    ).returncode
    stopped_router.start()
    assert stopped_router.get("panel.test") == (200, "platform")


@pytest.mark.root
def test_without_root_traefik_runs_as_the_caller(stopped_router) -> None:
    """As the launcher of a user who is not root: no uid is given, so nothing is switched and nothing mounted."""
    command = launcher_command(stopped_router.config)
    stopped_router.launcher = subprocess.Popen(command[: command.index("--uid")])
    wait_for_ready(stopped_router)
    assert stopped_router.get("panel.test") == (200, "platform")
    assert Path(f"/proc/{stopped_router.traefik()}/cwd").readlink() == stopped_router.config.directory


def wait_for_ready(router) -> None:
    deadline = time.monotonic() + 20
    while not router.driver.ready():
        assert time.monotonic() < deadline
        assert router.launcher.poll() is None
        time.sleep(0.01)


@pytest.mark.root
def test_memory_that_only_the_start_needed_is_given_back(stopped_router, tmp_path) -> None:
    # A copy: the kernel keeps pages of the program that another Traefik on this machine uses too.
    binary = tmp_path / "traefik"
    shutil.copyfile(find_binary(), binary)
    binary.chmod(0o755)
    stopped_router.start(binary=binary)
    pid = stopped_router.traefik()
    full = resident_kb(pid)
    deadline = time.monotonic() + 10
    while resident_kb(pid) > full - 20_000:  # the launcher does it a second after the start
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stopped_router.get("panel.test") == (200, "platform")


def resident_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_trimming_a_process_that_is_gone_is_no_error() -> None:
    done = subprocess.run(["true"])
    assert done.returncode == 0
    assert trim(2**22 - 1) is False
