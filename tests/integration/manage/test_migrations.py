from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from skypanel.db import Database
from skypanel.manage.migrate import DIRECTORY, current, head, load_models, upgrade


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'x.db'}")


def differences(database: Database) -> list[object]:
    metadata = load_models()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))


def test_the_migrations_make_exactly_the_tables_of_the_models(database: Database) -> None:
    upgrade(database)
    assert differences(database) == []
    database.close()


def test_a_missing_column_would_be_noticed(database: Database) -> None:
    upgrade(database)
    with database.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE users DROP COLUMN name"))
    assert differences(database) != []
    database.close()


def test_upgrading_twice_changes_nothing(database: Database) -> None:
    assert current(database) is None
    upgrade(database)
    upgrade(database)
    assert current(database) == head()
    database.close()


def test_there_is_one_line_of_revisions() -> None:
    files = sorted(path.name for path in DIRECTORY.glob("versions/0*.py"))
    assert head() == files[-1].split("_")[0]


def test_a_failed_upgrade_leaves_nothing_behind(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE users (x INTEGER)"))
    with pytest.raises(sa.exc.OperationalError):
        upgrade(database)
    with database.engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) == {"users"}
    database.close()
