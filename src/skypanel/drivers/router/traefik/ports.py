"""The router's listening sockets: opened, grouped so that none refuses, and taken over from a living leftover.

Standard library only, as all that the launcher imports.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct

from skypanel.drivers.router.traefik.processes import CannotStart, Process

BACKLOG = 4096
MIGRATE = "/proc/sys/net/ipv4/tcp_migrate_req"
_SO_ATTACH_REUSEPORT_CBPF = 51
_SYS_PIDFD_GETFD = 438


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def bound(host: str, port: int, *, shared: bool) -> socket.socket:
    listener = socket.socket(_family(host), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def open_listener(host: str, port: int, *, grouped: bool) -> socket.socket:
    """`grouped`: it may stand beside others of ours on the same port, of which the oldest gets every connection."""
    listener = bound(host, port, shared=grouped)
    if grouped:
        prefer(listener, 0)
    return listener


def prefer(listener: socket.socket, index: int) -> None:
    """From now on new connections go to the listener of this age in the group of `listener`; 0: the oldest."""
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, index), 8)  # BPF: return index
    program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(instruction))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)


def first_listener(host: str, port: int, *, flag: str, grouped: bool) -> socket.socket:
    """Raises CannotStart with the remedy."""
    try:
        bound(host, port, shared=False).close()  # fails even where the other program allows sharing
        return open_listener(host, port, grouped=grouped)
    except OSError as error:
        setting = f"--{flag} (SKYPANEL_{flag.upper().replace('-', '_')})"
        if error.errno == errno.EADDRINUSE:
            reason = f"port {port} on {host} is taken by another program: stop it or choose another port with {setting}"
        elif error.errno in (errno.EACCES, errno.EPERM):
            reason = f"port {port} needs root: start as root, or choose a port above 1023 with {setting}"
        elif error.errno == errno.EADDRNOTAVAIL:
            reason = f"this machine has no address {host}: choose one that it has with --host (SKYPANEL_HOST)"
        else:
            reason = f"port {port} on {host} cannot be opened ({error}): choose another with {setting}"
        raise CannotStart(reason) from error


def can_migrate() -> bool:
    """True when the kernel moves waiting connections from a closed listener to the next of its group."""
    try:
        with open(MIGRATE, "r+", encoding="ascii") as stream:  # noqa: PTH123
            if stream.read().strip() == "0":
                stream.seek(0)
                stream.write("1")
    except OSError:
        pass  # an old kernel, or not root: what it says now decides
    try:
        with open(MIGRATE, encoding="ascii") as stream:  # noqa: PTH123
            return stream.read().strip() != "0"
    except OSError:
        return False


def taken_over(
    process: Process, inodes: dict[str, int], wanted: dict[str, tuple[str, int]]
) -> dict[str, socket.socket]:
    """A living leftover's listeners by name, when they are the wanted ones; {} where the system does not allow it."""
    found: dict[str, socket.socket] = {}
    try:
        pidfd = os.pidfd_open(process[0])
    except (OSError, AttributeError):
        return found
    libc = ctypes.CDLL(None, use_errno=True)
    by_link = {f"socket:[{inode}]": name for name, inode in inodes.items()}
    try:
        for entry in os.listdir(f"/proc/{process[0]}/fd"):  # noqa: PTH208
            name = by_link.get(os.readlink(f"/proc/{process[0]}/fd/{entry}"), "")  # noqa: PTH115
            if not name or name in found:
                continue
            descriptor = libc.syscall(_SYS_PIDFD_GETFD, pidfd, int(entry), 0)
            if descriptor < 0:
                break
            listener = socket.socket(fileno=descriptor)
            if listener.getsockname()[:2] == wanted[name]:
                found[name] = listener
            else:
                listener.close()
    except OSError:
        pass  # it ended meanwhile
    finally:
        os.close(pidfd)
    return found
