"""The writable layer of /app: a file system of its own, as large as the plan's disk, that nobody has to clean up.

The image is a sparse copy of a prepared empty ext4 and is unlinked as soon as a loop device holds it; the device
frees itself when its last mount goes; and the only mounts are inside the container's mount namespace. So whatever is
killed at whatever moment, the kernel takes it all back.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers import shell
from skypanel.drivers.runtime.port import RuntimeFailed

# <linux/loop.h>
LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LO_FLAGS_AUTOCLEAR = 0x4C82, 0x4C0A, 4
LOOP_INFO_SIZE, LOOP_INFO_FLAGS = 232, 52
# <linux/mount.h>; these numbers are the same on every architecture
SYS_FSOPEN, SYS_FSCONFIG, SYS_FSMOUNT = 430, 431, 432
FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE, CLOEXEC = 0, 1, 6, 1
SMALLEST_MB = 8

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@dataclass
class WritableLayer:
    """A block device whose file system has the directories `up` and `work`. To be closed once runc has mounted it."""

    device: Path
    _held: ExitStack

    def close(self) -> None:
        self._held.close()


class LoopMissing(RuntimeFailed):
    """This machine gives no loop devices; the caller falls back to a plain directory."""


def writable_layer(*, templates: Path, size_mb: int, uid: int, scratch: Path) -> WritableLayer:
    """Raises LoopMissing, RuntimeFailed."""
    size_mb = max(SMALLEST_MB, size_mb)
    with ExitStack() as stack:
        try:
            image = _copy(_template(templates, size_mb), scratch)
            stack.callback(os.close, image)
            number, device = _loop(image)
            stack.callback(os.close, device)
            path = Path(f"/dev/loop{number}")
            mount = _detached_mount(path)
            stack.callback(os.close, mount)
            os.mkdir("up", 0o755, dir_fd=mount)
            os.mkdir("work", 0o700, dir_fd=mount)
            os.chown("up", uid, uid, dir_fd=mount)
        except OSError as error:
            raise LoopMissing(f"no size-limited disk for the container: {error}") from error
        return WritableLayer(path, stack.pop_all())


def _template(templates: Path, size_mb: int) -> Path:
    """An empty ext4 of that size; made once. No journal: the content is thrown away anyway."""
    template = templates / f"ext4-{size_mb}.img"
    if not template.exists():
        draft = templates / f".{template.name}.{os.getpid()}.{os.urandom(4).hex()}"
        try:
            with draft.open("xb") as stream:
                stream.truncate(size_mb * 1024 * 1024)
            options = "lazy_itable_init=1,nodiscard,root_owner=0:0"
            try:
                shell.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-m", "0", "-E", options, draft])
            except shell.CommandFailed as error:
                raise RuntimeFailed(f"{error}; install e2fsprogs") from error
            draft.rename(template)
        finally:
            draft.unlink(missing_ok=True)
    return template


def _copy(template: Path, scratch: Path) -> int:
    """An open, already unlinked copy that shares the holes of the template."""
    source = os.open(template, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        scratch.unlink()
        size = os.fstat(source).st_size
        os.ftruncate(target, size)
        for start, end in _data(source, size):
            offset = start
            while offset < end:
                os.lseek(source, offset, os.SEEK_SET)
                os.lseek(target, offset, os.SEEK_SET)
                offset += os.sendfile(target, source, offset, end - offset)
        return target
    finally:
        os.close(source)


def _data(file: int, size: int) -> list[tuple[int, int]]:
    found = []
    offset = 0
    while offset < size:
        try:
            start = os.lseek(file, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no data after this offset
                raise
            break
        offset = os.lseek(file, start, os.SEEK_HOLE)
        found.append((start, offset))
    return found


def _loop(image: int) -> tuple[int, int]:
    """The number and an open descriptor of a loop device for `image`; it is freed at its last close or unmount."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(64):
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            device = os.open(f"/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
            information = bytearray(LOOP_INFO_SIZE)
            struct.pack_into("=I", information, LOOP_INFO_FLAGS, LO_FLAGS_AUTOCLEAR)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, struct.pack("=II", image, 0) + bytes(information) + bytes(64))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # somebody else was faster: ask for the next one
                    raise
                continue
            return number, device
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no free loop device")


def _detached_mount(device: Path) -> int:
    """The file system of `device`, mounted nowhere: visible through the descriptor only."""
    context = _syscall(SYS_FSOPEN, b"ext4", CLOEXEC)
    try:
        _syscall(SYS_FSCONFIG, context, FSCONFIG_SET_STRING, b"source", bytes(device), 0)
        _syscall(SYS_FSCONFIG, context, FSCONFIG_SET_FLAG, b"noinit_itable", None, 0)
        _syscall(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        return _syscall(SYS_FSMOUNT, context, CLOEXEC, 0)
    finally:
        os.close(context)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
