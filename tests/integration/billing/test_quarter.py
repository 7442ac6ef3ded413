"""A quarter of many organizations: every charge is what an independent recomputation says, to the micro-unit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from billing_quarter import Quarter
from billing_world import World

from skypanel.billing.ledger import check
from skypanel.db import Database

BEGIN = datetime(2026, 2, 20, 8, 17, 31, 250_000, tzinfo=UTC)  # clocks in America change on 8 March, in Europe on 29
MUST_HAPPEN = (
    "outages", "clock steps", "bills", "apps suspended", "apps resumed", "scale_up", "scale_down", "restart", "crash",
    "crash_noticed_late", "change_plan", "release", "retention", "logs", "stop_all", "delete", "new_app", "refill",
    "reprice",
)  # fmt: skip


def lived(quarter: Quarter) -> Quarter:
    """All of it, and the verdict: on every balance after each run of billing, on every charge at the end."""
    quarter.run()
    quarter.audit()
    with quarter.world.database.reading() as session:
        assert check(session) == []
    return quarter


@pytest.mark.timeout(600)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_quarter_of_200_organizations_is_charged_to_the_micro_unit(database: Database) -> None:
    quarter = lived(Quarter(World(database), 5, 200, BEGIN, BEGIN + timedelta(days=92), events=4_000))
    assert [what for what in MUST_HAPPEN if not quarter.counts.get(what)] == []


@pytest.mark.parametrize("seed", [1, 2])
def test_busy_days_in_small_chunks(world: World, seed: int) -> None:
    begin = datetime(2026, 3, 20, tzinfo=UTC)
    world.chunk = 4
    lived(Quarter(world, seed, 8, begin, begin + timedelta(days=10), events=600))
