"""A process that collects until it is killed: `python collect_numbered.py <spool> <logs>`."""

from __future__ import annotations

import sys
from pathlib import Path

from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.logs.collector import Collector, LogTarget

Collector(
    store=EmbeddedLogStore(Path(sys.argv[2]), segment_bytes=1_000_000),
    spool=Path(sys.argv[1]),
    describe=lambda container_id: LogTarget((f"run:{container_id}", "app:a"), "app", "web.1"),
    gone=lambda container_id: False,
).run()
