"""A billing worker in a process of its own, to be killed: `python billing_process.py URL SECONDS-SINCE-1970 CHUNK`."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import UTC, datetime

from skypanel.billing.charge import Charger
from skypanel.billing.recheck import Rechecker
from skypanel.db import Database
from skypanel.kit.clock import FakeClock
from skypanel.manage.migrate import load_models

CURRENCY = "USD"


def work(url: str, moment: datetime, chunk: int) -> None:
    """What the worker does every few minutes, at that moment."""
    with closing(Database(url)) as database:
        clock = FakeClock(moment)
        Rechecker(database, clock, CURRENCY).run()
        Charger(database, clock, CURRENCY, chunk).run()


if __name__ == "__main__":
    load_models()
    print("ready", flush=True)
    work(sys.argv[1], datetime.fromtimestamp(int(sys.argv[2]), UTC), int(sys.argv[3]))
