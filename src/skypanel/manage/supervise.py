"""supervisord, which a full disk must not end: `python -m skypanel.manage.supervise -n -c FILE`.

supervisord reports a log record that it could not write on standard error. Where that is a file on the same full disk,
the report raises too, and supervisord ends with router, worker and server: every application would be unreachable.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any, TextIO

from supervisor import supervisord


class Forgiving:
    """A text stream that loses what cannot be written, instead of raising OSError."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def main() -> None:
    sys.stderr = Forgiving(sys.stderr)
    supervisord.main(sys.argv[1:])


if __name__ == "__main__":
    main()
