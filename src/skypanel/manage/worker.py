"""The worker process: `python -m skypanel.manage.worker`."""

from __future__ import annotations

import logging
import os

from skypanel.settings import Settings
from skypanel.wiring.work import hold, worker

log = logging.getLogger(__name__)


def main() -> None:
    settings = Settings()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each question is too much
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s %(threadName)s: %(message)s"
    )
    # An older worker that is still ending keeps the lock: two must never take each other's jobs over.
    name = f"worker-{settings.node_name}.lock" if settings.node_name else "worker.lock"
    lock = hold(settings.data_dir / "run" / name)
    try:
        worker(settings).run()
    except SystemExit as error:  # not after the threads and pools that a usual end waits for: something is broken
        log.error("%s", error)
        logging.shutdown()
        os._exit(1)
    finally:
        lock.close()


if __name__ == "__main__":
    main()
