from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_site import Dead, Site

from skypanel.db import Database
from skypanel.deployments import mend, rollout


@pytest.fixture
def site(database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    del database  # made the tables
    for module in (rollout, mend):
        monkeypatch.setattr(module, "WORKER_SETTLES_S", 0.02)
    report = threading.excepthook
    monkeypatch.setattr(threading, "excepthook", lambda args: args.exc_type is Dead or report(args))
    site = Site(database_url, tmp_path / "site")
    site.start()
    yield site
    site.close()


@pytest.fixture
def shop(site: Site) -> str:
    """An app whose version 1 runs."""
    app_id = site.app()
    assert site.done("deploy", app_id).status == "running"
    return app_id
