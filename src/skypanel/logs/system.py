"""Lines of the platform itself in an app's log: restarts, deployments, notices."""

from __future__ import annotations

from datetime import datetime

from skypanel.drivers.logstore.port import Entry, LogStore

SOURCE = "system"
REPLICA = "platform"


def nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000


def system_entry(message: str, *, level: str, ts_ns: int) -> Entry:
    return Entry(ts_ns, SOURCE, REPLICA, level, message)


def system(store: LogStore, *, app_id: str, message: str, now: datetime, level: str = "info") -> None:
    """`web.1 restarted: …` and the like."""
    store.append(f"app:{app_id}", [system_entry(message, level=level, ts_ns=nanoseconds(now))])
