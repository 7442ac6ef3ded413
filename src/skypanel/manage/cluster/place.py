"""Where `join` works: on this machine, or on another one through SSH. What the engine does not do is done here."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from skypanel.drivers import shell
from skypanel.drivers.engine.client import EngineClient
from skypanel.manage.cluster import edge_node, trust
from skypanel.manage.cluster.init import own_address
from skypanel.manage.preflight import CannotStart

CONNECT_S, FORWARD_S = 10, 15.0


class Place(Protocol):
    @property
    def engine(self) -> EngineClient: ...

    def address(self) -> str:
        """Under which other machines reach it."""
        ...

    def trust(self, registry: str, authority: str, managers: Sequence[str]) -> None: ...

    def keep_key(self, directory: Path, token: str) -> None: ...

    def has(self, path: Path) -> bool: ...


@dataclass(frozen=True)
class Here:
    engine: EngineClient

    def address(self) -> str:
        return own_address()

    def trust(self, registry: str, authority: str, managers: Sequence[str]) -> None:
        trust.trust_registry(registry, authority, managers)

    def keep_key(self, directory: Path, token: str) -> None:
        edge_node.keep_key(directory, token)

    def has(self, path: Path) -> bool:
        return path.exists()


@dataclass(frozen=True)
class Login:
    host: str
    port: int
    user: str
    private_key: str
    host_key: str | None = None  # a line of known_hosts without the name; None: whatever it shows the first time


@dataclass(frozen=True)
class Remote:
    """Commands run as root: the user is root, or may use sudo without a password."""

    login: Login
    engine: EngineClient
    command: Sequence[str]  # ssh with everything but what to run there

    def address(self) -> str:
        """What SSH reached: the server's side of the connection."""
        return self._run("echo $SSH_CONNECTION", as_root=False).split()[2]

    def trust(self, registry: str, authority: str, managers: Sequence[str]) -> None:
        directory = shlex.quote(f"{trust.CERTIFICATES}/{registry}")
        name = registry.partition(":")[0]
        lines = "\n".join(f"{machine} {name} {trust.MARK}" for machine in managers)
        self._run(
            f"mkdir -p {directory}\ncat >{directory}/ca.crt <<'END'\n{authority.strip()}\nEND\n"
            f"kept=$(grep -v {shlex.quote(f'{trust.MARK}$')} {trust.HOSTS} || true)\n"
            f"printf '%s\\n' \"$kept\" {shlex.quote(lines)} >{trust.HOSTS}\n"
        )

    def keep_key(self, directory: Path, token: str) -> None:
        place = shlex.quote(str(directory))
        self._run(f"mkdir -p -m 711 {place}\numask 077\nprintf '%s\\n' {shlex.quote(token)} >{place}/edge.key\n")

    def has(self, path: Path) -> bool:
        return self._run(f"test -e {shlex.quote(str(path))} && echo yes || echo no").strip() == "yes"

    def _run(self, script: str, *, as_root: bool = True) -> str:
        """Raises CannotStart with the last line it said. The script is never in a process list."""
        become = ["sudo", "-n"] if as_root and self.login.user != "root" else []
        try:
            done = shell.run([*self.command, *become, "sh", "-es"], stdin=script.encode(), timeout_s=60)
        except shell.CommandFailed as error:
            raise CannotStart(f"{self.login.host}: {last_line(error.output) or error}") from error
        return done.stdout.decode(errors="replace")


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


@contextmanager
def remote(login: Login, *, socket: Path, known_hosts: Path) -> Iterator[Remote]:
    """Its engine is spoken to through a forwarded socket. `known_hosts`: where keys of hosts are remembered. Raises
    CannotStart. The login and the way to its engine are gone with this process, also when it is killed."""
    with tempfile.TemporaryDirectory(prefix="skypanel-ssh-") as scratch, _in_memory(login.private_key) as key:
        own, known = Path(scratch) / "docker.sock", known_hosts
        checking = "accept-new"
        if login.host_key is not None:
            known, checking = Path(scratch) / "known_hosts", "yes"
            name = login.host if login.port == 22 else f"[{login.host}]:{login.port}"
            known.write_text(f"{name} {login.host_key.strip()}\n")
        options = ["BatchMode=yes", f"StrictHostKeyChecking={checking}", f"UserKnownHostsFile={known}",
                   f"ConnectTimeout={CONNECT_S}", "IdentitiesOnly=yes", "ServerAliveInterval=5",
                   "ExitOnForwardFailure=yes"]  # fmt: skip
        command = ["ssh", "-F", "/dev/null", "-i", key, "-p", str(login.port),
                   *(word for option in options for word in ("-o", option)), "-l", login.user]  # fmt: skip
        forward = ["setpriv", "--pdeathsig", "KILL", *command, "-N", "-L", f"{own}:{socket}", login.host]
        with _forwarded(forward, own, login.host), EngineClient(own, timeout_s=60) as engine:
            yield Remote(login, engine, [*command, login.host])


@contextmanager
def _in_memory(private_key: str) -> Iterator[str]:
    """A path to it, for programs that this process starts. It is never on a disk. See memfd_create(2)."""
    with os.fdopen(os.memfd_create("key"), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(private_key.strip() + "\n")
        file.flush()
        yield f"/proc/{os.getpid()}/fd/{file.fileno()}"


@contextmanager
def _forwarded(command: Sequence[str], own: Path, host: str) -> Iterator[None]:
    no = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=no, stdout=no, stderr=subprocess.PIPE) as ssh:  # noqa: S603 - a list
        try:
            deadline = time.monotonic() + FORWARD_S
            while not own.exists():
                if ssh.poll() is not None or time.monotonic() > deadline:
                    ssh.kill()
                    said = ssh.stderr.read().decode(errors="replace") if ssh.stderr else ""
                    raise CannotStart(f"{host} cannot be reached by SSH: {last_line(said) or 'it does not answer'}")
                time.sleep(0.05)
            yield
        finally:
            ssh.kill()
