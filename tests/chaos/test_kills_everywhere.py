"""60 seeded kills: every process of the platform, in the steps of every verb. bench/chaos does 200 and more."""

from __future__ import annotations

import pytest

from chaos import VICTIMS, Chaos, kills

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]

COUNT, SEED = 60, 2026
ALL = kills(COUNT, SEED)
BATCHES = [ALL[begin : begin + 10] for begin in range(0, COUNT, 10)]


def test_the_seed_reaches_every_process_and_verb() -> None:
    assert {kill.victim for kill in ALL} == VICTIMS.keys()
    assert len({kill.verb for kill in ALL}) == 10


@pytest.mark.parametrize("batch", range(len(BATCHES)))
def test_whatever_is_killed_ends_true_and_visitors_notice_nothing(suffering: Chaos, batch: int) -> None:
    for kill in BATCHES[batch]:
        suffering.suffer(kill)
