import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skypanel.manage.pids import alive, end, write_pid
from skypanel.manage.preflight import CannotStart, check_data_dir, check_ports, free_port, holder_of, lock


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_a_taken_port_is_one_line_with_a_free_one_as_the_remedy(taken: int) -> None:
    with pytest.raises(CannotStart) as caught:
        check_ports("127.0.0.1", http_port=taken, https_port=free_port())
    message = str(caught.value)
    assert f"Port {taken} is taken" in message
    assert "SKYPANEL_HTTP_PORT=" in message
    assert "\n" not in message


def test_the_https_port_is_named_when_it_is_the_taken_one(taken: int) -> None:
    with pytest.raises(CannotStart, match="SKYPANEL_HTTPS_PORT="):
        check_ports("127.0.0.1", http_port=free_port(), https_port=taken)


def test_one_port_cannot_be_both() -> None:
    with pytest.raises(CannotStart, match="cannot share port 8080"):
        check_ports("127.0.0.1", http_port=8080, https_port=8080)


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotStart, match="SKYPANEL_HOST"):
        check_ports("192.0.2.1", http_port=8080, https_port=8443)


def test_a_data_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotStart, match="SKYPANEL_DATA_DIR"):
        check_data_dir(tmp_path / "file" / "data")


def test_a_data_directory_with_a_name_that_breaks_configurations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="not allowed"):
        check_data_dir(tmp_path / "a;b")


def test_two_platforms_never_share_a_data_directory(tmp_path: Path) -> None:
    assert holder_of(tmp_path) is None
    program = (
        "import sys, pathlib; from skypanel.manage.preflight import lock; lock(pathlib.Path(sys.argv[1]));"
        "print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdin is not None
    assert other.stdout.readline() == "held\n"
    assert holder_of(tmp_path) == other.pid
    with pytest.raises(CannotStart, match=rf"process {other.pid}.*skypanel down --data-dir {tmp_path}"):
        lock(tmp_path)
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    assert holder_of(tmp_path) is None
    os.close(lock(tmp_path))


def test_a_process_that_outlived_its_manager_is_found_and_ended(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib, time; from skypanel.manage.pids import write_pid;"
        "write_pid(pathlib.Path(sys.argv[1]), 'worker'); print('up', flush=True); time.sleep(600)"
    )
    left = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert left.stdout is not None
    left.stdout.readline()
    assert alive(tmp_path, "worker") == left.pid
    assert end(tmp_path, "worker", grace_s=5) is True
    assert left.wait() == -15
    left.stdout.close()
    assert alive(tmp_path, "worker") is None
    assert end(tmp_path, "worker", grace_s=5) is False


def test_another_process_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    write_pid(tmp_path, "worker")
    stamped = (tmp_path / "worker.pid").read_text().split()
    (tmp_path / "worker.pid").write_text(f"{stamped[0]} {int(stamped[1]) - 1}\n")
    assert alive(tmp_path, "worker") is None
    assert end(tmp_path, "worker", grace_s=0) is False
