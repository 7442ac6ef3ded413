"""Stands over one program: starts it, passes signals on to all of it, notes its exit code. Runs as a script of its own,
without the package, so that an upgrade of the platform below it does no harm.

    python process_shim.py EXIT_FILE PIDS_FILE WORKDIR PROGRAM [ARGUMENT…]

SIGTERM, SIGINT and SIGHUP go to the program and all its group; SIGUSR1 kills them.
"""

import ctypes
import os
import signal
import sys
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main() -> int:
    exit_file, pids_file, workdir, *command = sys.argv[1:]
    reading, writing = os.pipe()
    if os.fork():
        # The starter waits for us, and we until it can be read who stands over what.
        os.close(writing)
        os.read(reading, 1)
        return 0
    os.close(reading)
    if sys.platform == "linux":
        # Orphans of the program come to us, and so are found at the end.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = os.fork()
    if child == 0:
        os.close(writing)
        _become(workdir, command)

    def forward(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a signal handler
        _kill_group(child, signal.SIGKILL if number == signal.SIGUSR1 else number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, forward)
    _write(pids_file, f"{os.getpid()} {child}")
    os.close(writing)
    code = _wait(child)
    _kill_group(child, signal.SIGKILL)
    _kill_orphans()
    _write(exit_file, str(code))
    return 0


def _become(workdir: str, command: list[str]) -> None:
    try:
        os.setsid()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.chdir(workdir)
        os.execvpe(command[0], command, os.environ)  # noqa: S606 - no shell wanted
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def _wait(child: int) -> int:
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


def _kill_group(child: int, number: int) -> None:
    try:
        os.killpg(child, number)
    except (ProcessLookupError, PermissionError):
        return


def _kill_orphans() -> None:
    """Everything that is left below us, also what made groups of its own."""
    while True:
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as stream:  # noqa: PTH123 - as small as can be
                children = [int(pid) for pid in stream.read().split()]
        except OSError:
            return
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            os.wait()
        except ChildProcessError:
            return


def _write(file: str, text: str) -> None:
    draft = file + ".new"
    with open(draft, "w") as stream:  # noqa: PTH123 - as small as can be
        stream.write(text)
    os.rename(draft, file)  # noqa: PTH104 - as small as can be


if __name__ == "__main__":
    sys.exit(main())
