"""A container as a value: spec -> the `config.json` of the OCI runtime specification. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skypanel.drivers.runtime.environment import environment
from skypanel.drivers.runtime.port import APP_DIR, Bind, ContainerSpec, RuntimeFailed

Mount = dict[str, Any]
TMP, SHM, SHM_MB = "/tmp", "/dev/shm", 64  # noqa: S108 - the container's own
MEBI = 1024 * 1024
CPU_PERIOD_US = 100_000
MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
    "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/proc/sysrq-trigger", "/proc/interrupts",
)  # fmt: skip
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys")


@dataclass(frozen=True)
class Surroundings:
    """What the machine gives a container, beside its spec."""

    rootfs: Path
    etc: Sequence[Path]  # topmost first
    empty: Path  # a directory without content
    upper: Path | None  # block device of the writable layer, or
    upper_directory: Path | None  # a plain directory with `up` and `work`
    netns: str
    cgroup: str
    hostname: str
    init: Sequence[str]
    seccomp: dict[str, Any] | None
    limits_swap: bool
    also_bound: Sequence[Path] = ()  # read-only, at the same path


def config(spec: ContainerSpec, around: Surroundings) -> dict[str, Any]:
    """Raises RuntimeFailed for paths that cannot be said in a mount option."""
    linux: dict[str, Any] = {
        "cgroupsPath": around.cgroup,
        "namespaces": [
            *({"type": kind} for kind in ("pid", "mount", "ipc", "uts", "cgroup")),
            {"type": "network", "path": around.netns},
        ],
        "resources": resources(spec, limits_swap=around.limits_swap),
        "maskedPaths": list(MASKED),
        "readonlyPaths": list(READ_ONLY),
        "rootfsPropagation": "private",
    }
    if around.seccomp is not None:
        linux["seccomp"] = around.seccomp
    return {
        "ociVersion": "1.0.2",
        "hostname": around.hostname,
        "root": {"path": str(around.rootfs), "readonly": True},
        "process": process(spec, around),
        "mounts": mounts(spec, around),
        "linux": linux,
    }


def process(spec: ContainerSpec, around: Surroundings) -> dict[str, Any]:
    files = spec.limits.open_files
    return {
        "terminal": False,
        "user": {"uid": spec.uid, "gid": spec.uid, "umask": 0o022},
        "args": [*around.init, *spec.command],
        "env": [f"{name}={value}" for name, value in environment(spec).items()],
        "cwd": spec.workdir,
        "noNewPrivileges": True,
        "capabilities": {name: [] for name in ("bounding", "effective", "inheritable", "permitted", "ambient")},
        "rlimits": [
            {"type": "RLIMIT_NOFILE", "soft": files, "hard": files},
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_MEMLOCK", "soft": 64 * 1024, "hard": 64 * 1024},
        ],
    }


def resources(spec: ContainerSpec, *, limits_swap: bool) -> dict[str, Any]:
    memory = {"limit": spec.limits.memory_mb * MEBI}
    if limits_swap:
        memory["swap"] = memory["limit"]  # memory and swap together: no swap
    return {
        "memory": memory,
        "cpu": {"period": CPU_PERIOD_US, "quota": spec.limits.cpu_millis * CPU_PERIOD_US // 1000,
                "shares": max(2, spec.limits.cpu_millis * 1024 // 1000)},
        "pids": {"limit": spec.limits.pids},
        "devices": [{"allow": False, "access": "rwm"}],
    }  # fmt: skip


def mounts(spec: ContainerSpec, around: Surroundings) -> list[Mount]:
    memory = spec.limits.memory_mb
    targets = {bind.target for bind in spec.binds}
    hidden = ["nosuid", "noexec", "nodev"]
    found: list[Mount] = [
        _mount("/proc", "proc", hidden),
        _mount("/dev", "tmpfs", ["nosuid", "noexec", "strictatime", "mode=755", "size=64k"]),
        _mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
        _mount(SHM, "tmpfs", [*hidden, "mode=1777", f"size={min(SHM_MB, memory)}m"]),
        _bound(Path("/usr"), "/usr"),
        _overlay("/etc", [*around.etc], ["ro", "nosuid", "nodev", "noexec"]),
    ]
    if TMP not in targets:
        found.append(_mount(TMP, "tmpfs", ["nosuid", "nodev", "mode=1777", f"size={memory}m"]))
    found += [_bound(path, str(path)) for path in (*around.also_bound, *spec.toolchains)]
    if APP_DIR not in targets:
        found += _app(spec, around)
    found += [_bind(bind) for bind in sorted(spec.binds, key=lambda bind: bind.target.count("/"))]
    return found


def _app(spec: ContainerSpec, around: Surroundings) -> list[Mount]:
    lower = list(spec.layers) or [around.empty]
    options = ["nosuid", "nodev", "noatime"]
    inside = around.rootfs / APP_DIR.lstrip("/")
    found: list[Mount] = []
    if around.upper is not None:
        # Mounted where /app will be, and then hidden below it: the container can't see the bare layer.
        found.append(_mount(APP_DIR, "ext4", [*options, "noinit_itable"], source=str(around.upper)))
        upper = inside
    elif around.upper_directory is not None:
        upper = around.upper_directory
    else:
        raise RuntimeFailed("a container needs a writable layer for /app")
    writable = [f"upperdir={_plain(upper / 'up')}", f"workdir={_plain(upper / 'work')}"]
    found.append(_overlay(APP_DIR, lower, [*options, *writable]))
    return found


def _overlay(target: str, lower: Sequence[Path], options: list[str]) -> Mount:
    lowerdir = "lowerdir=" + ":".join(_plain(path) for path in lower)
    return _mount(target, "overlay", [*options, lowerdir])


def _plain(path: Path) -> str:
    text = str(path)
    if any(character in text for character in ":,\\"):
        raise RuntimeFailed(f"the path {text!r} has a colon, comma or backslash, which mount options can't say")
    return text


def _bound(source: Path, target: str) -> Mount:
    return _mount(target, "bind", ["bind", "ro", "nosuid", "nodev"], source=str(source))


def _bind(bind: Bind) -> Mount:
    access = "rw" if bind.writable else "ro"
    return _mount(bind.target, "bind", ["bind", access, "nosuid", "nodev"], source=str(bind.source))


def _mount(target: str, kind: str, options: list[str], *, source: str | None = None) -> Mount:
    return {"destination": target, "type": kind, "source": source or kind, "options": options}
