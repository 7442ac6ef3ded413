"""The worker process: `python -m skypanel.manage.worker`."""

from __future__ import annotations

import logging

from skypanel.settings import Settings
from skypanel.wiring.work import hold, worker


def main() -> None:
    settings = Settings()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s %(threadName)s: %(message)s"
    )
    # An older worker that is still ending keeps the lock: two must never take each other's jobs over.
    lock = hold(settings.data_dir / "run" / "worker.lock")
    try:
        worker(settings).run()
    finally:
        lock.close()


if __name__ == "__main__":
    main()
