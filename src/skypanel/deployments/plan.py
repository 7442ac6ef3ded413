"""What a rollout has to do, computed purely from what is wanted and what is there.

plan(Desired(release 7, generation 2, {"web": 2}), [web.1 of release 6]) ->
    start web.1 and web.2 of release 7, retire web.1 of release 6
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Buildpacks name these as commands that people run, not as processes to keep running.
NOT_STARTED = frozenset({"release", "console", "rake"})


@dataclass(frozen=True, order=True)
class Slot:
    """One place for a replica: `web`, 1 is `web.1`."""

    process_type: str
    position: int

    @property
    def name(self) -> str:
        return f"{self.process_type}.{self.position}"


@dataclass(frozen=True)
class Desired:
    deployment_id: str
    generation: int
    formation: Mapping[str, int]  # process type -> replicas


@dataclass(frozen=True)
class Actual:
    id: str
    deployment_id: str
    generation: int
    slot: Slot
    usable: bool  # alive or on its way: not in back-off, draining or failing its checks


@dataclass(frozen=True)
class RolloutPlan:
    keep: tuple[str, ...]
    start: tuple[Slot, ...]
    retire: tuple[str, ...]

    @property
    def empty(self) -> bool:
        return not self.start and not self.retire


def formation_of(process_types: Mapping[str, str], wanted: Mapping[str, int]) -> dict[str, int]:
    """Replicas per process type of a release: what the owner asked for, one where he said nothing."""
    return {name: wanted.get(name, 1) for name in process_types if name not in NOT_STARTED}


def plan(desired: Desired | None, actual: Sequence[Actual]) -> RolloutPlan:
    """`desired` None means that nothing shall run."""
    formation = desired.formation if desired else {}
    wanted = {Slot(name, position) for name, count in formation.items() for position in range(1, count + 1)}
    keep: dict[Slot, str] = {}
    for replica in sorted(actual, key=lambda r: r.id):
        current = desired and (replica.deployment_id, replica.generation) == (desired.deployment_id, desired.generation)
        if current and replica.usable and replica.slot in wanted and replica.slot not in keep:
            keep[replica.slot] = replica.id
    kept = set(keep.values())
    return RolloutPlan(
        keep=tuple(sorted(kept)),
        start=tuple(sorted(wanted - keep.keys())),
        retire=tuple(sorted(replica.id for replica in actual if replica.id not in kept)),
    )
