"""The system call filter. Debian's usual profile (made for rootless Podman, so more generous than needed here) is
converted, and what no application of ours needs is taken out; without it, a list of forbidden calls."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

PROFILE = Path("/usr/share/containers/seccomp.json")
EPERM, ENOSYS = 1, 38
# Ways to new namespaces, mounts, other processes' memory, the kernel's keys, modules and programs.
FORBIDDEN = (
    "acct", "add_key", "bpf", "delete_module", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module",
    "io_uring_enter", "io_uring_register", "io_uring_setup", "kcmp", "kexec_file_load", "kexec_load", "keyctl",
    "lookup_dcookie", "mount", "mount_setattr", "move_mount", "move_pages", "name_to_handle_at", "nfsservctl",
    "open_by_handle_at", "open_tree", "perf_event_open", "pivot_root", "process_vm_readv", "process_vm_writev",
    "ptrace", "quotactl", "quotactl_fd", "reboot", "request_key", "setns", "swapoff", "swapon", "syslog", "umount",
    "umount2", "unshare", "userfaultfd", "uselib", "vhangup",
)  # fmt: skip
NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW… flag
ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
MACHINES = {"x86_64": {"amd64", "x86", "x32"}, "aarch64": {"arm64", "arm"}}


def profile(file: Path = PROFILE, machine: str | None = None) -> dict[str, Any]:
    """`linux.seccomp` of an OCI config. `machine` as `uname -m` says it."""
    machine = machine or platform.machine()
    architectures = ARCHITECTURES.get(machine, [])
    if file.is_file():
        return converted(json.loads(file.read_text()), machine=machine, architectures=architectures)
    # One rule a flag: a filter can say "this bit is set", not "any of these".
    flags = [1 << bit for bit in range(32) if NEW_NAMESPACES >> bit & 1]
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": architectures,
        "syscalls": [
            {"names": list(FORBIDDEN), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
            *(_clone("SCMP_ACT_ERRNO", mask=flag, equals=flag) | {"errnoRet": EPERM} for flag in flags),
        ],
    }


def converted(docker: dict[str, Any], *, machine: str, architectures: list[str]) -> dict[str, Any]:
    """Docker's format has conditions on capabilities and architectures; our containers have no capability at all."""
    ours = MACHINES.get(machine, set())
    special = {*FORBIDDEN, "clone", "clone3"}
    rules: list[dict[str, Any]] = []
    for rule in docker["syscalls"]:
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or ours.intersection(excludes.get("arches", [])):
            continue
        if includes.get("arches") and not ours.intersection(includes["arches"]):
            continue
        names = [name for name in rule["names"] if name not in special]
        if names:
            kept = {"names": names, "action": rule["action"]}
            if rule.get("args"):
                kept["args"] = rule["args"]
            if rule.get("errnoRet") is not None:
                kept["errnoRet"] = rule["errnoRet"]
            rules.append(kept)
    rules.append({"names": list(FORBIDDEN), "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM})
    # The flags of clone3 are in memory, where a filter cannot look: "not implemented" makes libc take clone.
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS})
    rules.append(_clone("SCMP_ACT_ALLOW", mask=NEW_NAMESPACES, equals=0))
    result = {"defaultAction": docker["defaultAction"], "architectures": architectures, "syscalls": rules}
    if docker.get("defaultErrnoRet") is not None:
        result["defaultErrnoRet"] = docker["defaultErrnoRet"]
    return result


def _clone(action: str, *, mask: int, equals: int) -> dict[str, Any]:
    argument = {"index": 0, "value": mask, "valueTwo": equals, "op": "SCMP_CMP_MASKED_EQ"}
    return {"names": ["clone"], "action": action, "args": [argument]}
