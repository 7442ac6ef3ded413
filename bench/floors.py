"""What the machine needs for the same work done by hand: the floors of `bench.redeploy`. All times in seconds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report import median
from bench.visits import Answer, until

UV = str(Path(sys.executable).with_name("uv"))
ROUNDS = 5
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def timed(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> float:
    began = time.monotonic()
    subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **(env or {})}, check=True, capture_output=True
    )
    return time.monotonic() - began


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def is_ok(answer: Answer) -> bool:
    return answer.status == 200


def git_fetch(url: str, directory: Path, change: object) -> float:
    """One new commit fetched over HTTP into a mirror. `change()` makes the commit."""
    timed(["git", "clone", "-q", "--mirror", url, directory], cwd=directory.parent)
    times = []
    for _ in range(ROUNDS):
        assert callable(change)
        change()
        times.append(timed(["git", "fetch", "-q", "origin"], cwd=directory))
    return median(times)


def python_install(directory: Path, requirements: str, more: str) -> dict[str, float]:
    """`uv venv` and `uv pip install`: with an empty package cache, a warm one, nothing to do, one more dependency; and
    with bytecode, as the platform installs: `compiled` from a warm cache into an empty environment."""
    directory.mkdir()
    (directory / "requirements.txt").write_text(requirements)
    cache = {"UV_CACHE_DIR": str(directory / "cache"), "UV_NO_PROGRESS": "1", "UV_LINK_MODE": "copy"}
    venv = directory / "venv"
    install = [UV, "pip", "install", "--python", venv / "bin" / "python", "--requirements", "requirements.txt"]

    def anew() -> float:
        shutil.rmtree(venv, ignore_errors=True)
        return timed([UV, "venv", "--python", "/usr/bin/python3", venv], cwd=directory, env=cache) + timed(
            install, cwd=directory, env=cache
        )

    cold, warm, same, added, compiled, compiled_more = [], [], [], [], [], []
    for _ in range(ROUNDS):
        shutil.rmtree(directory / "cache", ignore_errors=True)
        cold.append(anew())
        warm.append(anew())
        same.append(timed(install, cwd=directory, env=cache))
        (directory / "requirements.txt").write_text(requirements + more)
        added.append(timed(install, cwd=directory, env=cache))
        cache["UV_COMPILE_BYTECODE"] = "1"
        compiled_more.append(anew())
        (directory / "requirements.txt").write_text(requirements)
        compiled.append(anew())  # last: what is started by hand has bytecode too
        del cache["UV_COMPILE_BYTECODE"]
    return {
        "cold": median(cold), "warm": median(warm), "same": median(same), "added": median(added),
        "compiled": median(compiled), "compiled_more": median(compiled_more),
    }  # fmt: skip


def node_install(directory: Path, files: Mapping[str, str]) -> dict[str, float]:
    directory.mkdir()
    for name, text in files.items():
        (directory / name).write_text(text)
    env = {"npm_config_cache": str(directory / "cache"), "npm_config_update_notifier": "false"}
    command = ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund", "--omit=dev"]
    cold, warm = [], []
    for _ in range(ROUNDS):
        shutil.rmtree(directory / "cache", ignore_errors=True)
        cold.append(timed(command, cwd=directory, env=env))
        warm.append(timed(command, cwd=directory, env=env))
    return {"cold": median(cold), "warm": median(warm)}


def process_start(command: Sequence[str], *, cwd: Path, env: Mapping[str, str], count: int = 1) -> float:
    """Plain processes, `count` at once, until each has given its first 200."""
    times = []
    for _ in range(ROUNDS):
        ports = [free_port() for _ in range(count)]
        began = time.monotonic()
        processes = [
            subprocess.Popen(
                [part.replace("$PORT", str(port)) for part in command], start_new_session=True,
                cwd=cwd, env={**os.environ, **env, "PORT": str(port)}, **QUIET,  # type: ignore[call-overload]
            )
            for port in ports
        ]  # fmt: skip
        try:
            times.append(max(until(port, "localhost", is_ok, every_s=0.003) for port in ports) - began)
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return median(times)


def container_start(command: Sequence[str], *, app: Path, env: Mapping[str, str], work: Path) -> float:
    """The same in a container by runc with the machine's network: `runc run` until its first 200."""
    times = []
    for number in range(ROUNDS):
        port = free_port()
        bundle = work / f"bundle-{app.name}-{number}"
        _bundle(bundle, [part.replace("$PORT", str(port)) for part in command], app, {**env, "PORT": str(port)})
        name = f"bench-{os.getpid()}-{number}"
        runc = ["runc", "--root", str(work / "runc")]
        began = time.monotonic()
        output = bundle / "output"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [*runc, "run", "--bundle", str(bundle), name], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
            )
        try:
            times.append(until(port, "localhost", is_ok, every_s=0.003, within_s=20) - began)
        except TimeoutError as error:
            raise RuntimeError(f"the container by hand did not answer: {output.read_text()[-1000:]}") from error
        finally:
            subprocess.run([*runc, "kill", name, "KILL"], check=False, capture_output=True)
            process.wait(10)
            subprocess.run([*runc, "delete", "--force", name], check=False, capture_output=True)
    return median(times)


def _bundle(bundle: Path, command: Sequence[str], app: Path, env: Mapping[str, str]) -> None:
    rootfs = bundle / "rootfs"
    for name in ("usr", "etc", "proc", "dev", "tmp", "sys", app.relative_to("/")):
        (rootfs / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            (rootfs / name).symlink_to(f"usr/{name}")
    subprocess.run(["runc", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    spec["process"].update(
        terminal=False, args=list(command), cwd=str(app),
        env=["PATH=/usr/local/bin:/usr/bin:/bin", *(f"{name}={value}" for name, value in env.items())],
    )  # fmt: skip
    spec["mounts"] += [
        {"destination": path, "source": path, "type": "bind", "options": ["rbind", "ro"]}
        for path in ("/usr", "/etc", str(app))
    ]
    spec["hostname"] = socket.gethostname()  # a name that /etc knows
    spec["root"]["readonly"] = False  # programs want a /tmp
    spec["linux"]["namespaces"] = [entry for entry in spec["linux"]["namespaces"] if entry["type"] != "network"]
    (bundle / "config.json").write_text(json.dumps(spec))
