"""Gives back the memory that Traefik needed only to start. Standard library only, as all that the launcher imports."""

from __future__ import annotations

import ctypes
import os

_SYS_PROCESS_MADVISE = 440
_MADV_PAGEOUT = 21


class _Range(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("length", ctypes.c_size_t))


def trim(pid: int) -> bool:
    """Drops the pages of the program file from the process: all providers, clouds and tracers that Traefik knows set
    themselves up at start, some 50 MB of 90 that a router of files never touches again. What it does use comes back
    from the page cache or the file at the next touch. False where the system does not allow it (not root, old kernel).
    """
    done = False
    try:
        descriptor = os.pidfd_open(pid)
    except (OSError, AttributeError):
        return False
    try:
        program = os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:  # noqa: PTH123
            for line in maps:
                fields = line.split(maxsplit=5)
                if len(fields) < 6 or fields[5].strip() != program or "w" in fields[1]:
                    continue
                start, end = (int(edge, 16) for edge in fields[0].split("-"))
                part = _Range(start, end - start)
                result = libc.syscall(_SYS_PROCESS_MADVISE, descriptor, ctypes.byref(part), 1, _MADV_PAGEOUT, 0)
                done = done or result > 0
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return done
