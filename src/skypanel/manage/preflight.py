"""What must hold before the platform starts; each failure is one line with the remedy."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from skypanel.manage.confine import possible
from skypanel.manage.pids import started_at

if TYPE_CHECKING:
    from skypanel.drivers.runtime.oci.doctor import Machine

LOCK = "up.lock"
SYSTEM_DIRECTORIES: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
# What no container starts without. Loop devices and other firewalls' rules are doctor's: apps run, or start mends them.
NEEDED: Final = frozenset({"root", "kernel", "runc", "conmon", "nft", "ip", "tini", "overlay", "cgroups"})


class CannotStart(Exception):
    """The message is one line that says what to do."""


def free_port(host: str = "127.0.0.1", *, start: int = 0) -> int:
    """A port nobody listens on: any, or the first from `start` on."""
    for port in range(start, start + 200 if start else 1):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotStart(f"No port is free on {host}.")


def port_is_free(host: str, port: int) -> bool:
    """Raises CannotStart where the port may not be opened at all."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError as error:
            raise CannotStart(
                f"Port {port} needs root: start as root, or choose ports above 1023 "
                "with SKYPANEL_HTTP_PORT and SKYPANEL_HTTPS_PORT."
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise CannotStart(f"{host} is no address of this machine ({error.strerror}): set SKYPANEL_HOST.") from error
    return True


def check_ports(host: str, *, http_port: int, https_port: int) -> None:
    """Raises CannotStart."""
    if http_port == https_port:
        raise CannotStart(f"HTTP and HTTPS cannot share port {http_port}: set SKYPANEL_HTTPS_PORT to another one.")
    for name, port in (("SKYPANEL_HTTP_PORT", http_port), ("SKYPANEL_HTTPS_PORT", https_port)):
        if not port_is_free(host, port):
            other = free_port(host, start=port + 1)
            raise CannotStart(
                f"Port {port} is taken by another program: choose another one, for example {name}={other}."
            )


def complete_path(path: str) -> str:
    """`path` with the directories of system programs, which `su` leaves out: nft and runc are there on Debian."""
    given = [directory for directory in path.split(os.pathsep) if directory]
    return os.pathsep.join([*given, *(directory for directory in SYSTEM_DIRECTORIES if directory not in given)])


def check_containers(runtime: str, *, machine: Machine | None = None) -> None:
    """With `runtime` oci: this machine can run real containers. Raises CannotStart for the first missing thing."""
    if runtime != "oci":
        return
    from skypanel.drivers.runtime.oci.doctor import check, this_machine

    for problem in check(machine or this_machine(), bridge=""):
        if problem.check in NEEDED:
            raise CannotStart(
                f"Isolated containers do not work here: {problem.message} -> {problem.remedy}; or run "
                "applications as plain processes (trusted mode): SKYPANEL_RUNTIME=process."
            )
    if not possible():
        raise CannotStart(
            "Isolated containers do not work here: this root may not mount. Start outside of a container, or give it "
            "the capability SYS_ADMIN; or run applications as plain processes (trusted mode): SKYPANEL_RUNTIME=process."
        )


def check_data_dir(data_dir: Path) -> None:
    """It exists or can be made, and is writable. Raises CannotStart."""
    if re.search(r"[\x00-\x1f;#]", str(data_dir)):
        raise CannotStart(
            f"The data directory {str(data_dir)!r} has a character that is not allowed in it (; # or control)."
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        probe = data_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise CannotStart(
            f"The data directory {data_dir} cannot be written ({error.strerror}): "
            "choose another one with SKYPANEL_DATA_DIR."
        ) from error


def lock(data_dir: Path) -> int:
    """Holds the data directory for this process and what it becomes by `exec`; returns the descriptor.
    Raises CannotStart when another platform holds it."""
    directory = data_dir / "supervise"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 100, 0).decode().split(" ")[0].strip() or "?"
        os.close(descriptor)
        raise CannotStart(
            f"A platform already runs with {data_dir} (process {holder}): stop it with "
            f"`{skypanel_command()} down --data-dir {data_dir}`, or choose another SKYPANEL_DATA_DIR."
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {started_at(os.getpid())}\n".encode(), 0)
    os.set_inheritable(descriptor, True)
    return descriptor


def skypanel_command() -> str:
    """How a person calls it from here: its path, unless the shell finds it by name."""
    own = Path(sys.executable).with_name("skypanel")
    return "skypanel" if shutil.which("skypanel") == str(own) else str(own)


def holder_of(data_dir: Path) -> int | None:
    """The process that runs the platform of this data directory; None when none does."""
    try:
        descriptor = os.open(data_dir / "supervise" / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 100, 0).decode().split(" ")[0].strip()
        return int(pid) if pid.isdigit() else None
    finally:
        os.close(descriptor)
    return None
