from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_site import Site, started

from skypanel.db import Database


@pytest.fixture
def site(database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    del database  # made the tables
    with started(database_url, tmp_path / "site", monkeypatch) as site:
        yield site


@pytest.fixture
def shop(site: Site) -> str:
    """An app whose version 1 runs."""
    app_id = site.app()
    assert site.done("deploy", app_id).status == "running"
    return app_id
