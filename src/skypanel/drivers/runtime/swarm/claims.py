"""Which task is which replica.

A service has as many tasks as replicas are wanted, and the swarm decides which of them ends when there are fewer, and
starts new ones when some die. The platform's replicas have names of their own, started and stopped moments that are
metered, and are retired one by one. So every replica holds a claim on one task, kept in the labels of the service's
secret:

- a new replica claims a live task that nobody has, that of its own slot where it can;
- a claim stays with its task, also when that is dead: the replica has ended then;
- a replica that is stopped gives the task that the swarm chose to end to itself, and its own to that one's owner.

Pure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from skypanel.drivers.runtime.swarm.names import CLAIM
from skypanel.drivers.runtime.swarm.tasks import Task


@dataclass(frozen=True)
class Claim:
    task: str
    name: str  # "web.1"
    code: int | None = None  # when it has ended
    ended: str | None = None  # RFC 3339
    reason: str | None = None
    address: str | None = None
    node: str = ""
    began: str = ""
    leaving: bool = False  # the service has been told to have one task less for it


def read_claims(labels: Mapping[str, str]) -> dict[str, Claim]:
    """Container id -> its claim."""
    return {
        key.removeprefix(CLAIM): Claim(**json.loads(value)) for key, value in labels.items() if key.startswith(CLAIM)
    }


def write_claim(claim: Claim) -> str:
    found = asdict(claim).items()
    return json.dumps({key: value for key, value in found if value is not None and value is not False and value != ""})


def free_task(tasks: Sequence[Task], claims: Mapping[str, Claim], position: int) -> Task | None:
    """A live task that nobody claims and that has its address: the one at this position, or the first."""
    taken = {claim.task for claim in claims.values()}
    free = sorted(
        (t for t in tasks if t.live and t.addresses and t.id not in taken), key=lambda t: (t.slot != position, t.slot)
    )
    return free[0] if free else None


def leave(claims: Mapping[str, Claim], going: Collection[str]) -> dict[str, Claim]:
    """Claims of these, marked as leaving; only those that are not yet."""
    fresh = ((i, claims[i]) for i in going if i in claims)
    return {i: replace(claim, leaving=True) for i, claim in fresh if not claim.leaving and claim.ended is None}


def exchange(claims: Mapping[str, Claim], tasks: Mapping[str, Task]) -> dict[str, Claim]:
    """Claims after the swarm has chosen whom to end: a replica that stays and whose task was told to go takes over
    the task of one that leaves and goes on living. Only those that change."""

    def going(claim: Claim) -> bool:
        task = tasks.get(claim.task)
        return task is not None and not task.over and not task.live

    changed: dict[str, Claim] = {}
    spare = [i for i, c in sorted(claims.items()) if c.leaving and (t := tasks.get(c.task)) is not None and t.live]
    for container_id in sorted(claims):
        claim = claims[container_id]
        if claim.leaving or claim.ended is not None or not going(claim) or not spare:
            continue
        other = spare.pop(0)
        changed[container_id] = replace(
            claim, task=claims[other].task, address=claims[other].address, node=claims[other].node
        )
        changed[other] = replace(claims[other], task=claim.task, address=claim.address, node=claim.node)
    return changed
