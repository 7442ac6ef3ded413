"""One git process: nothing of the machine's configuration, one transport, one address, limits; can be cancelled."""

from __future__ import annotations

import base64
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skypanel.drivers.source.port import Credentials, FetchFailed
from skypanel.drivers.source.urls import GitUrl
from skypanel.kit.secret import Secret

ALWAYS = {
    "protocol.allow": "never",
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.unpackLimit": "1",
    "http.followRedirects": "false",
    "submodule.recurse": "false",
    "safe.directory": "*",  # the mirror is ours by construction; git runs as its owner
}


MAX_OUTPUT = 64_000_000  # bytes: names of some 500,000 files; what git prints is what a stranger's host or tree says


@dataclass(frozen=True)
class Outcome:
    code: int
    stdout: bytes
    stderr: str
    timed_out: bool = False
    cancelled: bool = False
    too_much: bool = False  # more output than anybody's repository needs


@dataclass(frozen=True)
class GitProcess:
    """How git is run in one mirror: as its owner, from inside of it, wherever the data directory is."""

    mirror: Path
    uid: int
    passthrough: Mapping[str, str] = field(default_factory=dict)  # certificates, proxies
    max_bytes: int = 2_000_000_000

    def environment(self, config: Mapping[str, str | Secret]) -> dict[str, str]:
        env = {
            **self.passthrough,
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": "/nonexistent",
            "LC_ALL": "C",
            "GIT_DIR": ".",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        for index, (key, value) in enumerate({**ALWAYS, **config}.items()):
            env[f"GIT_CONFIG_KEY_{index}"] = key
            env[f"GIT_CONFIG_VALUE_{index}"] = value.reveal() if isinstance(value, Secret) else value
        env["GIT_CONFIG_COUNT"] = str(len({**ALWAYS, **config}))
        return env

    def start(
        self,
        arguments: Sequence[str],
        *,
        config: Mapping[str, str | Secret] | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        limited: bool = False,
    ) -> subprocess.Popen[bytes]:
        if not prefix and os.geteuid() == 0 and not reachable(self.mirror):
            prefix = enter(self.uid, known=False)
        drop = os.geteuid() == 0 and not prefix  # a prefix drops by itself, after what it needs root for
        # A pack that grows beyond the limit ends the process that writes it.
        size = ["prlimit", f"--fsize={self.max_bytes}:{self.max_bytes}"] if limited and shutil.which("prlimit") else []
        command = [*prefix, *size, "git", *arguments]
        try:
            return subprocess.Popen(  # noqa: S603 - an argument list made of validated values
                command,
                cwd=self.mirror,
                env={**self.environment(config or {}), **(env or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                user=self.uid if drop else None,
                group=self.uid if drop else None,
                extra_groups=[] if drop else None,
            )
        except FileNotFoundError as error:
            raise FetchFailed("git_failed", "git is not installed on the platform's machine: install it.") from error

    def run(
        self,
        arguments: Sequence[str],
        *,
        config: Mapping[str, str | Secret] | None = None,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        timeout_s: float = 60,
        cancelled: Callable[[], bool] | None = None,
        limited: bool = False,
        max_output: int | None = None,
    ) -> Outcome:
        """Runs it to its end, or kills the whole session when the time is over, `cancelled` says so or it printed more
        than `max_output` bytes (MAX_OUTPUT)."""
        with self.start(arguments, config=config, env=env, prefix=prefix, limited=limited) as process:
            assert process.stdin is not None
            process.stdin.close()
            deadline = time.monotonic() + timeout_s
            out, err, why = _collect(
                process, deadline=deadline, cancelled=cancelled, max_output=max_output or MAX_OUTPUT
            )
            if why:
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        text = err.decode(errors="replace")
        return Outcome(
            -9 if why else code, bytes(out), text,
            timed_out=why == "time", cancelled=why == "cancelled", too_much=why == "output",
        )  # fmt: skip


def _collect(
    process: subprocess.Popen[bytes], *, deadline: float, cancelled: Callable[[], bool] | None, max_output: int
) -> tuple[bytearray, bytearray, str]:
    """Standard output, standard error, and why it has to be ended: "time", "cancelled", "output", or "" when it is
    over by itself."""
    out, err = bytearray(), bytearray()
    assert process.stdout is not None and process.stderr is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ, out)
        selector.register(process.stderr, selectors.EVENT_READ, err)
        while selector.get_map():
            for key, _ in selector.select(0.25):
                chunk = os.read(key.fd, 65_536)
                if not chunk:
                    selector.unregister(key.fileobj)
                key.data.extend(chunk)
            if len(out) + len(err) > max_output:
                return out, err, "output"
            if cancelled is not None and cancelled():
                return out, err, "cancelled"
            if time.monotonic() >= deadline:
                return out, err, "time"
    return out, err, ""


def transport_config(url: GitUrl, address: str, credentials: Credentials | None) -> dict[str, str | Secret]:
    """What git is told for one URL: its transport alone is allowed, the checked address alone is connected to."""
    config: dict[str, str | Secret] = {f"protocol.{url.scheme}.allow": "always"}
    if url.scheme == "ssh":
        return config
    shown = f"[{address}]" if ":" in address else address
    config["http.curloptResolve"] = f"{url.host}:{url.port}:{shown}"
    config["http.lowSpeedLimit"], config["http.lowSpeedTime"] = "1000", "30"
    username, password = url.username, url.password
    if password is None and username and credentials is None:
        password = Secret("")  # https://TOKEN@host/path
    if password is None and credentials is not None and credentials.token is not None:
        username, password = credentials.username or username or "oauth2", credentials.token
    if password is not None:
        pair = base64.b64encode(f"{username or ''}:{password.reveal()}".encode()).decode()
        config[f"http.{url.origin}/.extraHeader"] = Secret(f"Authorization: Basic {pair}")
    return config


def ssh_environment(url: GitUrl, address: str, *, key: str | None) -> dict[str, str]:
    """ssh reads no configuration but this: the checked address, the host key under the host's own name, first seen
    and then kept. Paths are relative to the mirror, where git runs. Every part has been validated: nothing to quote."""
    options = ["-F none", f"-o HostName={address}", f"-o HostKeyAlias={url.host}"]
    settings = (
        "BatchMode=yes", "CheckHostIP=no", "StrictHostKeyChecking=accept-new",
        "UserKnownHostsFile=skypanel-known-hosts",
        "GlobalKnownHostsFile=/etc/ssh/ssh_known_hosts", "ConnectTimeout=15", "ServerAliveInterval=15",
        "IdentitiesOnly=yes", "IdentityAgent=none", "PermitLocalCommand=no", "ClearAllForwardings=yes",
    )  # fmt: skip
    options += [f"-o {setting}" for setting in settings]
    options.append(f"-i {key}" if key else "-o IdentityFile=none")
    return {"GIT_SSH_COMMAND": f"ssh {' '.join(options)}", "GIT_SSH_VARIANT": "ssh"}


def reachable(path: Path) -> bool:
    """Whether a user without any rights of his own can come to it: every directory above lets others pass."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def enter(uid: int, *, known: bool) -> list[str]:
    """Runs a command as `uid` inside the mirror, bound to a place that he can reach, in a mount namespace that lasts as
    long as the command. `known`: he gets an entry in passwd, without which ssh refuses to run."""
    passwd = "mount --bind skypanel-passwd /etc/passwd && " if known else ""
    script = f'{passwd}mount --bind . /mnt && cd /mnt && exec setpriv --reuid "$0" --regid "$0" --clear-groups -- "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, str(uid)]
