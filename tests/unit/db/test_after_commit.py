from __future__ import annotations

from pathlib import Path

from skypanel.db import Database
from skypanel.db.session import after_commit


def test_hooks_wait_for_the_outermost_commit(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'test.db'}")
    said: list[str] = []
    with database.transaction() as session:
        with session.begin_nested():
            after_commit(session, "a", lambda: said.append("inside"))
        with session.begin_nested():
            pass
        assert said == []
    assert said == ["inside"]
    database.close()
