from __future__ import annotations

import sqlalchemy as sa

from skypanel.db import Database
from skypanel.db.upsert import upsert

COUNTS = sa.Table(
    "counts", sa.MetaData(), sa.Column("name", sa.String(20), primary_key=True), sa.Column("value", sa.Integer)
)


def test_a_row_that_is_there_is_left_or_updated(each_database: Database) -> None:
    COUNTS.create(each_database.engine)
    with each_database.transaction() as session:
        ignoring = upsert(session, COUNTS).on_conflict_do_nothing().returning(COUNTS.c.name)
        made = [session.execute(ignoring, {"name": "a", "value": value}).scalars().all() for value in (1, 2)]
        assert made == [["a"], []]
        adding = upsert(session, COUNTS).values(name="a", value=2)
        added = {"value": COUNTS.c.value + adding.excluded.value}
        session.execute(adding.on_conflict_do_update(index_elements=["name"], set_=added))
        assert session.scalars(sa.select(COUNTS.c.value)).one() == 3
