"""`git upload-pack` as a process: what a clone or a fetch over HTTP talks to. Reads one repository, writes nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

_CHUNK = 64 * 1024


class GitPackFailed(Exception):
    """git could not be started, or refused before it said anything; the message is git's own last line."""


async def advertise(repository: Path, *, protocol: str | None = None) -> bytes:
    """The references, as `GET …/info/refs?service=git-upload-pack` answers them. Raises GitPackFailed."""
    process = await _start(repository, "--http-backend-info-refs", protocol)
    stdout, stderr = await process.communicate()
    if process.returncode != 0:
        raise GitPackFailed(_last_line(stderr))
    service = b"# service=git-upload-pack\n"
    return b"%04x" % (len(service) + 4) + service + b"0000" + stdout


async def serve(
    repository: Path, request: bytes, *, protocol: str | None = None, time_limit_s: float = 600
) -> AsyncIterator[bytes]:
    """Streams the answer to one `POST …/git-upload-pack`. The process ends with the stream, however that ends."""
    process = await _start(repository, None, protocol)
    feeding = asyncio.create_task(_feed(process, request))
    assert process.stdout is not None
    try:
        async with asyncio.timeout(time_limit_s):
            while chunk := await process.stdout.read(_CHUNK):
                yield chunk
    finally:
        # First what needs no waiting: the request may be cancelled already, and then every wait ends at once.
        feeding.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _feed(process: asyncio.subprocess.Process, request: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # git has heard enough
        process.stdin.write(request)
        await process.stdin.drain()
    process.stdin.close()


async def _start(repository: Path, extra: str | None, protocol: str | None) -> asyncio.subprocess.Process:
    # The repository may belong to another user than the one we run as: that is what safe.directory is for.
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": str(repository),
    }
    if protocol is not None:
        env["GIT_PROTOCOL"] = protocol
    command = ["git", "upload-pack", "--strict", "--stateless-rpc", *([extra] if extra else []), str(repository)]
    pipe = asyncio.subprocess.PIPE
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=pipe if extra is None else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe if extra else asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise GitPackFailed(f"git could not be started: {error.strerror}") from error


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "git said nothing"
