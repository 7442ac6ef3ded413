"""Log lines in local files: append-only segments per stream, written by one process (the worker), read and followed
by others. docs/decisions/0006-embedded-log-store.md says why."""

from skypanel.drivers.logstore.embedded.store import EmbeddedLogStore

__all__ = ["EmbeddedLogStore"]
