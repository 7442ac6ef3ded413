"""The rollout plan: pure, so every property is asked of many shapes of reality."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skypanel.deployments.plan import Actual, Desired, Slot, formation_of, plan

TYPES = ("web", "worker", "clock")
formations = st.dictionaries(st.sampled_from(TYPES), st.integers(0, 5))
actuals = st.lists(
    st.builds(
        Actual,
        id=st.uuids().map(str),
        deployment_id=st.sampled_from(("old", "new")),
        generation=st.integers(1, 2),
        slot=st.builds(Slot, st.sampled_from(TYPES), st.integers(1, 6)),
        usable=st.booleans(),
    ),
    max_size=12,
    unique_by=lambda replica: replica.id,
)


def apply(found: list[Actual], desired: Desired) -> list[Actual]:
    steps = plan(desired, found)
    started = [
        Actual(f"new-{slot.name}", desired.deployment_id, desired.generation, slot, True) for slot in steps.start
    ]
    return [replica for replica in found if replica.id in steps.keep] + started


@given(formations, actuals)
def test_after_the_plan_exactly_the_wanted_slots_are_filled(formation: dict[str, int], found: list[Actual]) -> None:
    after = apply(found, Desired("new", 2, formation))
    wanted = {Slot(name, position) for name, count in formation.items() for position in range(1, count + 1)}
    assert sorted(replica.slot for replica in after) == sorted(wanted)
    assert all((replica.deployment_id, replica.generation) == ("new", 2) for replica in after)


@given(formations, actuals)
def test_a_plan_that_was_carried_out_has_nothing_left_to_do(formation: dict[str, int], found: list[Actual]) -> None:
    desired = Desired("new", 2, formation)
    assert plan(desired, apply(found, desired)).empty


@given(formations, actuals)
def test_every_replica_is_either_kept_or_retired(formation: dict[str, int], found: list[Actual]) -> None:
    steps = plan(Desired("new", 2, formation), found)
    assert sorted(steps.keep + steps.retire) == sorted(replica.id for replica in found)


@given(actuals)
def test_wanting_nothing_retires_everything(found: list[Actual]) -> None:
    steps = plan(None, found)
    assert not steps.start
    assert not steps.keep
    assert set(steps.retire) == {replica.id for replica in found}


def test_commands_for_people_are_not_started() -> None:
    types = {"web": "a", "worker": "b", "release": "c", "console": "d", "rake": "e"}
    assert formation_of(types, {"web": 3}) == {"web": 3, "worker": 1}


def test_a_type_scaled_to_zero_stays_at_zero() -> None:
    assert formation_of({"web": "a", "worker": "b"}, {"worker": 0}) == {"web": 1, "worker": 0}
