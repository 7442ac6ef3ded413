# ruff: noqa: PTH101, PTH116, PTH119, PTH123, PTH207, PTH208
"""What a hostile tenant tries from inside: reads `{"read": […], "connect": ["host:port", …]}`, tells what it got.

Standard library only; every answer is "no: why" or what was got.
"""

import ctypes
import glob
import json
import os
import platform
import resource
import socket
import stat
import struct
import sys
import threading

LIBC = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH, CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET = 16, 0x10000000, 0x20000, 0x40000000
NUMBERS = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "clone3": 435, "finit_module": 313, "fsopen": 430, "init_module": 175,
        "io_uring_setup": 425, "kexec_load": 246, "keyctl": 250, "move_mount": 429, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "perf_event_open": 298, "pivot_root": 155, "process_vm_readv": 310,
        "process_vm_writev": 311, "reboot": 169, "request_key": 249, "setns": 308, "swapon": 167, "syslog": 103,
        "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "clone3": 435, "finit_module": 273, "fsopen": 430, "init_module": 105,
        "io_uring_setup": 425, "kexec_load": 104, "keyctl": 219, "move_mount": 429, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "perf_event_open": 241, "pivot_root": 41, "process_vm_readv": 270,
        "process_vm_writev": 271, "reboot": 142, "request_key": 218, "setns": 268, "swapon": 224, "syslog": 116,
        "userfaultfd": 282,
    },
}  # fmt: skip
IP_FREEBIND, IP_TRANSPARENT = 15, 19


def tried(attempt):
    try:
        return attempt()
    except OSError as error:
        return f"no: {error.strerror}"
    except ValueError as error:  # what Python makes of a refused limit
        return f"no: {error}"


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
    kind, _, name = target.partition("!")
    if kind == "abstract":  # a socket without a file: in whose network name space?
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"\0{name}")
        return "GOT"
    if kind == "udp":  # whether it arrived is seen at the other end
        host, port = name.rsplit(":", 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"mallory was here", (host, int(port)))
        return "sent"
    host, port = target.rsplit(":", 1)
    socket.create_connection((host, int(port)), timeout=1.5).close()
    return "GOT"


def raw(family, kind, protocol=0):
    socket.socket(family, kind, protocol).close()
    return "GOT"


def written(path, text="mallory was here"):
    with open(path, "w") as file:
        file.write(text)
    return "GOT"


def nothing():
    raise OSError(0, "nothing there")


def spoofed(option):
    """A datagram from an address that is not ours. No capability is needed to ask for it with IP_FREEBIND."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.IPPROTO_IP, option, 1)
        client.bind(("8.8.8.8", 53))
        client.sendto(b"mallory was here", ("10.255.255.254", 53))
    return "GOT"


def own_address():
    """Asks the kernel for another address on the container's link (RTM_NEWADDR)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as client:
        link = socket.if_nametoindex("eth0")
        content = struct.pack("=BBBBIHH4s", socket.AF_INET, 32, 0, 0, link, 8, 2, bytes((10, 9, 8, 7)))
        client.send(struct.pack("=IHHII", 16 + len(content), 20, 0x605, 1, 0) + content)
        answer = client.recv(4096)
    error = -struct.unpack("=i", answer[16:20])[0]
    if error:
        raise OSError(error, os.strerror(error))
    return "GOT"


def more_files():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most + 1, most + 1))
    return "GOT"


def forked_namespace(flag):
    """clone(2) itself: unshare may be forbidden and this not."""
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    ctypes.set_errno(0)
    child = LIBC.syscall(number, flag | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    if child == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(child, 0)
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
        "user namespace by clone": tried(lambda: forked_namespace(CLONE_NEWUSER)),
        "network namespace by clone": tried(lambda: forked_namespace(CLONE_NEWNET)),
        "speak from another address": tried(lambda: spoofed(IP_FREEBIND)),
        "any address": tried(lambda: spoofed(IP_TRANSPARENT)),
        "take another address": tried(own_address),
        "more open files": tried(more_files),
        "more of the CPU": tried(lambda: os.nice(-5) and "GOT"),
        "real time": tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) or "GOT"),
        "spared when memory is short": tried(lambda: written("/proc/self/oom_score_adj", "-1000")),
        "kernel command": tried(lambda: written("/proc/sysrq-trigger", "h")),
        "cgroup's release agent": tried(lambda: written("/sys/fs/cgroup/memory/release_agent")),
        "cgroup of version 2": tried(lambda: written("/sys/fs/cgroup/cgroup.procs", "0")),
        "other keys": tried(lambda: "GOT" if read("/proc/keys").split("GOT ", 1)[1].strip() else nothing()),
        "kernel's messages": tried(lambda: read("/dev/kmsg")),
        "terminal of the machine": tried(lambda: read("/dev/tty1")),
        "fuse": tried(lambda: read("/dev/fuse")),
        "network tunnel": tried(lambda: read("/dev/net/tun")),
        "virtual machine": tried(lambda: read("/dev/kvm")),
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
        "devices": sorted(glob.glob("/dev/*")),
        "cgroups": read("/proc/self/cgroup").split("\n"),
        "mounts": {fields[4]: fields[5] for fields in mounted},
        "read": {path: tried(lambda path=path: read(path)) for path in wanted["read"]},
        "connect": in_parallel(connected, wanted["connect"]),
        "gain": gains(),
        "filtered": sorted(NUMBERS.get(platform.machine(), {})),
        "processes": processes(),
        "left behind": sorted(glob.glob("/tmp/left-*") + glob.glob("/build/*/left-*") + glob.glob("/var/tmp/left-*")),
    }


if __name__ == "__main__":
    with open(sys.argv[1]) as targets:
        print(json.dumps(report(json.load(targets))))
