# ruff: noqa: PTH101, PTH116, PTH119, PTH123, PTH207, PTH208
"""What a hostile tenant tries from inside: reads `{"read": […], "connect": ["host:port", …]}`, tells what it got.

Standard library only; every answer is "no: why" or what was got.
"""

import ctypes
import glob
import json
import os
import platform
import socket
import stat
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, CLONE_NEWUSER, CLONE_NEWNS = 16, 0x10000000, 0x20000
# unshare, keyctl, bpf, open_by_handle_at, io_uring_setup, perf_event_open, process_vm_readv
NUMBERS = {
    "x86_64": {"keyctl": 250, "bpf": 321, "open_by_handle_at": 304, "io_uring_setup": 425, "perf_event_open": 298,
               "process_vm_readv": 310, "fsopen": 430},
    "aarch64": {"keyctl": 219, "bpf": 280, "open_by_handle_at": 265, "io_uring_setup": 425, "perf_event_open": 241,
                "process_vm_readv": 270, "fsopen": 430},
}  # fmt: skip


def tried(attempt):
    try:
        return attempt()
    except OSError as error:
        return f"no: {error.strerror}"


def call(function, *arguments):
    ctypes.set_errno(0)
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "GOT"


def read(path):
    if stat.S_ISDIR(os.stat(path).st_mode):
        return "GOT " + " ".join(sorted(os.listdir(path))[:20])
    with open(path, "rb") as file:
        return "GOT " + file.read(300).decode("latin-1")


def connected(target):
    host, port = target.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=1.5).close()
    return "GOT"


def raw(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()
    return "GOT"


def written(path):
    with open(path, "w") as file:
        file.write("mallory was here")
    return "GOT"


def with_set_user_id():
    """A shell of ours with the bit set: does the kernel honour it?"""
    program = "/app/suid" if os.access("/app", os.W_OK) else "/tmp/suid"
    with open("/bin/sh", "rb") as source, open(program, "wb") as copy:
        copy.write(source.read())
    os.chmod(program, 0o6755)
    return program


def gains():
    numbers = NUMBERS.get(platform.machine(), {})
    found = {
        "become root": tried(lambda: os.setuid(0) or "GOT"),
        "join group 0": tried(lambda: os.setgid(0) or "GOT"),
        "mount": tried(lambda: call(LIBC.mount, b"none", b"/tmp", b"tmpfs", 0, None)),
        "unmount": tried(lambda: call(LIBC.umount2, b"/app", 2)),
        "user namespace": tried(lambda: call(LIBC.unshare, CLONE_NEWUSER)),
        "mount namespace": tried(lambda: call(LIBC.unshare, CLONE_NEWNS)),
        "ptrace": tried(lambda: call(LIBC.ptrace, PTRACE_ATTACH, 1, None, None)),
        "device node": tried(lambda: os.mknod("/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(7, 0)) or "GOT"),
        "raw socket": tried(lambda: raw(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)),
        "packet socket": tried(lambda: raw(socket.AF_PACKET, socket.SOCK_RAW)),
        "chroot": tried(lambda: os.chroot("/tmp") or "GOT"),
        "host name": tried(lambda: socket.sethostname("mine") or "GOT"),
        "kernel setting": tried(lambda: written("/proc/sys/kernel/core_pattern")),
        "write to /usr": tried(lambda: written("/usr/bin/mallory")),
        "write to /etc": tried(lambda: written("/etc/mallory")),
        "write to /": tried(lambda: written("/mallory")),
        "loop device": tried(lambda: read("/dev/loop0")),
        "memory device": tried(lambda: read("/dev/mem")),
        "cgroup": tried(lambda: written("/sys/fs/cgroup/memory/memory.limit_in_bytes")),
    }
    for name, number in numbers.items():
        found[name] = tried(lambda number=number: call(LIBC.syscall, number, 0, 0, 0, 0, 0, 0))
    return found


def processes():
    found = {}
    for entry in glob.glob("/proc/[0-9]*"):
        command = tried(lambda entry=entry: read(f"{entry}/cmdline"))
        environment = tried(lambda entry=entry: read(f"{entry}/environ"))
        found[os.path.basename(entry)] = f"{command} {environment}"
    return found


def in_parallel(attempt, things):
    found = {}
    threads = [threading.Thread(target=lambda thing=thing: found.update({thing: tried(lambda: attempt(thing))}))
               for thing in things]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def report(wanted):
    with open("/proc/self/status") as status:
        state = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    with open("/proc/self/mountinfo") as mounts:
        mounted = [line.split() for line in mounts]
    program = with_set_user_id()
    return {
        "uid": os.getuid(),
        "state": {name: state[name] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp", "Groups")},
        "set user id": os.popen(f"{program} -p -c 'id -u'").read().strip(),
        "mounts": {fields[4]: fields[5] for fields in mounted},
        "read": {path: tried(lambda path=path: read(path)) for path in wanted["read"]},
        "connect": in_parallel(connected, wanted["connect"]),
        "gain": gains(),
        "processes": processes(),
        "left behind": sorted(glob.glob("/tmp/left-*") + glob.glob("/build/*/left-*") + glob.glob("/var/tmp/left-*")),
    }


if __name__ == "__main__":
    with open(sys.argv[1]) as targets:
        print(json.dumps(report(json.load(targets))))
