"""What keeps containers from working on this machine, each with its remedy. The checks read; only the last one runs
something: a throw-away container that asks for a name and connects to it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers import shell
from skypanel.drivers.runtime.oci.cgroups import Cgroups
from skypanel.drivers.runtime.oci.firewall import forward_rules
from skypanel.drivers.runtime.oci.monitor import SYSTEM_PATH
from skypanel.drivers.runtime.port import Problem, RuntimeFailed

OLDEST_KERNEL = (5, 10)
PACKAGES = {
    "runc": "runc",
    "conmon": "conmon",
    "nft": "nftables",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "tini": "tini",
}
PROBE = (
    'getent ahostsv4 "$1" >/dev/null || { echo dns; exit 1; }; '
    'timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null || { echo tcp; exit 1; }; echo fine'
)


@dataclass(frozen=True)
class Machine:
    """What the checks look at, so that a test can show them another machine."""

    uid: int
    kernel: str
    which: Callable[[str], str | None]
    filesystems: str
    loop_control: Path
    cgroups: Cgroups | None  # None: not readable
    forward: Callable[[], str]  # `iptables -S FORWARD` and DOCKER-USER, empty without iptables


def this_machine() -> Machine:
    filesystems = Path("/proc/filesystems")
    return Machine(
        uid=os.geteuid(), kernel=platform.release(), which=lambda name: shutil.which(name, path=SYSTEM_PATH),
        filesystems=filesystems.read_text() if filesystems.exists() else "", loop_control=Path("/dev/loop-control"),
        cgroups=Cgroups() if Path("/proc/self/mountinfo").exists() else None, forward=_forward_rules,
    )  # fmt: skip


def check(machine: Machine, *, bridge: str) -> Iterator[Problem]:
    if machine.uid != 0:
        yield Problem("root", "containers need root", "start the platform as root, or set SKYPANEL_RUNTIME=process")
    found = re.match(r"(\d+)\.(\d+)", machine.kernel)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        yield Problem("kernel", f"Linux {machine.kernel} is older than {oldest}", f"upgrade to Linux {oldest} or later")
    for name, package in PACKAGES.items():
        if machine.which(name) is None and not (name == "tini" and machine.which("tini-static")):
            yield Problem(name, f"{name} is not installed", f"apt-get install {package}")
    if "overlay" not in machine.filesystems and machine.which("modprobe") is None:
        yield Problem("overlay", "the kernel has no overlay file system", "modprobe overlay")
    if not machine.loop_control.exists():
        yield Problem(
            "loop", "there are no loop devices, so disk limits are kept by looking only", "modprobe loop; start again"
        )
    yield from _cgroups(machine.cgroups)
    rules = machine.forward()
    if "-P FORWARD DROP" in rules and f"-i {bridge}" not in rules:
        words = " ".join(forward_rules(bridge)[0])
        yield Problem(
            "forward", "another firewall (Docker, ufw) drops forwarded packets",
            f"iptables -I FORWARD {words}; iptables -I FORWARD {' '.join(forward_rules(bridge)[1])}",
        )  # fmt: skip


def _cgroups(cgroups: Cgroups | None) -> Iterator[Problem]:
    missing = [name for name in ("memory", "cpu", "pids") if cgroups is None or not cgroups.has(name)]
    if missing:
        names = ", ".join(missing)
        yield Problem(
            "cgroups", f"the kernel does not limit {names}",
            "boot with cgroup_enable=memory, or mount cgroup2 on /sys/fs/cgroup",
        )  # fmt: skip


def egress(run: Callable[[list[str]], tuple[int, str]], *, host: str, port: int, bridge: str) -> Problem | None:
    """`run` runs a command in a container and returns its code and output."""
    try:
        code, output = run(["/bin/bash", "-c", PROBE, "probe", host, str(port)])
    except RuntimeFailed as error:
        return Problem("container", f"a container could not be run: {error}", "see the message; then ask doctor again")
    if code == 0:
        return None
    remedy = (
        f"let forwarded packets of the bridge {bridge} through: with firewalld `firewall-cmd --permanent "
        f"--zone=trusted --add-interface={bridge}`, with ufw `ufw route allow in on {bridge}`"
    )
    if "dns" in output:
        return Problem(
            "egress", f"containers cannot look up {host}", f"check the name servers in /etc/resolv.conf, or {remedy}"
        )
    return Problem("egress", f"containers cannot connect to {host}:{port}", remedy)


def _forward_rules() -> str:
    if shutil.which("iptables", path=SYSTEM_PATH) is None:
        return ""
    listed = [shell.run(["iptables", "-w", "5", "-S", chain], check=False) for chain in ("FORWARD", "DOCKER-USER")]
    return "\n".join(each.stdout.decode(errors="replace") for each in listed)
