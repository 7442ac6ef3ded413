"""`skypanel doctor`: what would stop the platform, each in one line with the remedy."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from skypanel.drivers.runtime.oci.doctor import OLDEST_KERNEL
from skypanel.drivers.runtime.port import Diagnoses
from skypanel.instance import read_instance
from skypanel.manage.confine import possible
from skypanel.manage.preflight import CannotStart, check_data_dir, check_ports, holder_of
from skypanel.manage.up import router_processes
from skypanel.settings import Settings

LEAST_DISK_MB = 2048
PROGRAMS = {"runc": "runc", "conmon": "conmon", "nft": "nftables", "ip": "iproute2", "tini": "tini", "git": "git"}
REGISTRIES = ("pypi.org", "registry.npmjs.org")


@dataclass(frozen=True)
class Finding:
    check: str
    ok: bool
    message: str
    remedy: str = ""
    blocks: bool = True  # the platform, or real containers, cannot work without it


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Prints every finding; 1 when something blocks."""
    found = examine(settings)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        print("\n".join(line(finding) for finding in found))
    return int(any(not finding.ok and finding.blocks for finding in found))


def line(finding: Finding) -> str:
    state = "ok     " if finding.ok else "PROBLEM" if finding.blocks else "note   "
    remedy = f" -> {finding.remedy}" if finding.remedy and not finding.ok else ""
    return f"{state}  {finding.check:<12} {finding.message}{remedy}"


def examine(settings: Settings) -> list[Finding]:
    running = holder_of(settings.data_dir) is not None
    checks: list[Callable[[], Sequence[Finding]]] = [
        python_version,
        root,
        lambda: programs(shutil.which),
        lambda: kernel(platform.release(), filesystems(), blocks=settings.runtime == "oci"),
        lambda: control_groups(blocks=settings.runtime == "oci"),
        lambda: data_directory(settings),
        lambda: disk(settings.data_dir),
        lambda: ports(settings, running=running),
        network,
        lambda: containers(settings),
        lambda: engine(settings.docker_socket, wanted=settings.runtime == "swarm"),
    ]
    return [finding for check in checks for finding in check()]


def python_version() -> list[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return [Finding("python", sys.version_info >= (3, 11), f"Python {version}", "install Python 3.11 or newer")]


def root() -> list[Finding]:
    if sys.platform != "linux":
        return [
            Finding("system", False, f"{sys.platform}: applications run in trusted mode", "use Linux", blocks=False)
        ]
    if os.geteuid() != 0:
        remedy = "start as root for isolated containers"
        return [
            Finding("root", False, "not root: applications run as plain processes (trusted mode)", remedy, blocks=False)
        ]
    able = possible()
    remedy = "start outside of a container, or give it the capability SYS_ADMIN"
    message = "root" if able else "root, but not allowed to mount: applications run as plain processes (trusted mode)"
    return [Finding("root", able, message, remedy, blocks=False)]


def programs(find: Callable[[str], str | None]) -> list[Finding]:
    missing = [package for program, package in PROGRAMS.items() if find(program) is None]
    if "git" in missing:
        return [
            Finding("programs", False, "git is missing: nothing can be fetched", f"apt-get install {' '.join(missing)}")
        ]
    if missing:
        message = f"missing for isolated containers: {', '.join(missing)}"
        return [Finding("programs", False, message, f"apt-get install {' '.join(missing)}", blocks=False)]
    return [Finding("programs", True, ", ".join(PROGRAMS))]


def filesystems() -> str:
    path = Path("/proc/filesystems")
    return path.read_text() if path.exists() else ""


def kernel(release: str, known: str, *, blocks: bool = True) -> list[Finding]:
    if sys.platform != "linux":
        return []
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    wanted = ".".join(str(part) for part in OLDEST_KERNEL)
    remedy = f"isolated containers need {wanted} or newer; without: SKYPANEL_RUNTIME=process (trusted mode)"
    overlay = "overlay" in known.split()
    what = "overlay file system" if overlay else "no overlay file system"
    return [
        Finding("kernel", version >= OLDEST_KERNEL, f"Linux {release}", remedy, blocks),
        Finding("overlay", overlay, what, "modprobe overlay", blocks),
    ]


def control_groups(*, blocks: bool = True) -> list[Finding]:
    if sys.platform != "linux":
        return []
    v2 = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    able = v2 or all(Path("/sys/fs/cgroup", name).is_dir() for name in ("memory", "cpu", "pids"))
    remedy = "mount the cgroup file systems with memory, cpu and pids"
    return [
        Finding(
            "cgroups", able, f"version {2 if v2 else 1}" if able else "memory, cpu or pids is missing", remedy, blocks
        )
    ]


def data_directory(settings: Settings) -> list[Finding]:
    if not settings.data_dir.exists():  # looking makes nothing
        parent = next(place for place in settings.data_dir.parents if place.exists())
        able = os.access(parent, os.W_OK)
        message = f"{settings.data_dir} can{'' if able else 'not'} be made"
        return [Finding("data", able, message, "choose another one with SKYPANEL_DATA_DIR")]
    try:
        check_data_dir(settings.data_dir)
    except CannotStart as error:
        return [Finding("data", False, str(error))]
    holder = holder_of(settings.data_dir)
    used = f" (the platform runs: process {holder})" if holder is not None else ""
    return [Finding("data", True, f"{settings.data_dir}{used}")]


def disk(path: Path) -> list[Finding]:
    existing = next(place for place in (path, *path.parents) if place.exists())
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    remedy = f"free some: builds want {LEAST_DISK_MB} MB, or move with SKYPANEL_DATA_DIR"
    return [Finding("disk", free_mb >= LEAST_DISK_MB, f"{free_mb} MB free", remedy)]


def ports(settings: Settings, *, running: bool) -> list[Finding]:
    both = f"{settings.http_port} and {settings.https_port} on {settings.host}"
    if running or router_processes(settings.data_dir):
        return [Finding("ports", True, f"{both}: this platform's own router")]
    try:
        check_ports(settings.host, http_port=settings.http_port, https_port=settings.https_port)
    except CannotStart as error:
        return [Finding("ports", False, str(error))]
    return [Finding("ports", True, f"{both} are free")]


def network(resolve: Callable[[str, int], object] = socket.getaddrinfo) -> list[Finding]:
    """Names only: which registry a machine uses (a mirror, a proxy) is its own affair."""
    unknown = []
    for name in REGISTRIES:
        try:
            resolve(name, 443)
        except OSError:
            unknown.append(name)
    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"))
    message = f"cannot resolve {', '.join(unknown)}" if unknown else "names of package registries resolve"
    remedy = "builds install packages from there: check DNS (/etc/resolv.conf), or set a mirror or HTTPS_PROXY"
    return [Finding("network", not unknown or proxied, message, remedy, blocks=False)]


def engine(socket: Path, *, wanted: bool) -> list[Finding]:
    """The Docker Engine, which only a cluster needs."""
    from skypanel.drivers.engine.client import EngineClient, EngineFailed

    remedy = "apt-get install docker.io (20.10 or newer), and start it"
    if not socket.exists():
        message = f"none at {socket}" + ("" if wanted else "; only a cluster needs one")
        return [Finding("docker", not wanted, message, remedy, blocks=wanted)]
    client = EngineClient(socket)
    try:
        version, swarm = client.version, client.get("/info")["Swarm"]["LocalNodeState"]
    except EngineFailed as error:
        return [Finding("docker", False, str(error), remedy, blocks=wanted)]
    finally:
        client.close()
    return [Finding("docker", True, f"the engine speaks API {version}; swarm: {swarm or 'inactive'}")]


def containers(settings: Settings) -> list[Finding]:
    """What the runtime itself finds: egress from a throw-away network namespace, other firewalls' FORWARD policy."""
    if settings.runtime != "oci":
        return [Finding("containers", True, "trusted mode: plain processes")]
    instance = read_instance(settings.data_dir)
    if instance is None or not instance.network:
        return [Finding("containers", True, "examined after the first `skypanel up`")]
    from skypanel.wiring import work as wiring

    runtime = wiring.container_runtime(settings, instance)
    if not hasattr(runtime, "diagnose"):
        return []
    unused = holder_of(settings.data_dir) is None and not runtime.list()
    diagnosed = cast(Diagnoses, runtime).diagnose()
    if unused:
        wiring.stop_all_containers(settings)  # the network and control groups that looking made
    problems = [Finding(problem.check, False, problem.message, problem.remedy) for problem in diagnosed]
    return problems or [Finding("containers", True, "start, network and egress work")]
