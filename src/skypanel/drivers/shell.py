"""The only place that starts processes: argument lists (never a shell string), time-outs, redaction."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skypanel.kit.secret import Secret, masked

Argument = str | Path | Secret


class CommandFailed(Exception):
    """A command ended with another status than 0, or not in time. `output` is its last 4,000 characters, redacted."""

    def __init__(self, command: str, code: int | None, output: str) -> None:
        what = "timed out" if code is None else f"exited with {code}"
        super().__init__(f"{command} {what}: {output.strip()[-500:]}")
        self.command = command
        self.code = code
        self.output = output


@dataclass(frozen=True)
class Result:
    code: int
    stdout: bytes
    stderr: bytes


def plain(argument: Argument) -> str:
    return argument.reveal() if isinstance(argument, Secret) else str(argument)


def run(
    command: Sequence[Argument],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    timeout_s: float = 60,
    check: bool = True,
    user: int | None = None,
) -> Result:
    """Runs it to its end. `user`: drops to that user and group id without supplementary groups.
    Raises CommandFailed (also when the program is missing)."""
    argv = [plain(argument) for argument in command]
    secrets = [argument.reveal() for argument in command if isinstance(argument, Secret)]
    name = Path(argv[0]).name
    try:
        done = subprocess.run(  # noqa: S603  an argument list, never a shell's line
            argv,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            user=user,
            group=user,
            extra_groups=[] if user is not None else None,
        )
    except FileNotFoundError as error:
        raise CommandFailed(name, 127, f"{name} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(
            name, None, masked((error.stderr or b"").decode(errors="replace")[-4000:], secrets)
        ) from error
    if check and done.returncode != 0:
        output = (done.stderr or done.stdout).decode(errors="replace")[-4000:]
        raise CommandFailed(name, done.returncode, masked(output, secrets))
    return Result(done.returncode, done.stdout, done.stderr)


class Child:
    """A program that runs beside this process, with its output in ours."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, grace_s: float = 20) -> None:
        self._grace_s = grace_s
        self._process = subprocess.Popen(list(command), env=dict(env) if env is not None else None)  # noqa: S603

    def ended(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """SIGTERM, the grace, SIGKILL."""
        self._process.terminate()
        try:
            self._process.wait(self._grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
