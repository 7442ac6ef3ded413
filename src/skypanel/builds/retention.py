"""Which slugs are kept: decided purely, carried out by whoever asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """A stored slug as retention sees it."""

    id: str
    digest: str
    layers: Sequence[str]


@dataclass(frozen=True)
class Removal:
    id: str
    digest: str
    layers: Sequence[str]
    keep_layers: Sequence[str]  # still used by others: the builder leaves them
    keep_archive: bool  # another slug has the same digest


def removals(newest_first: Sequence[Kept], *, keep: int, in_use: Collection[str]) -> list[Removal]:
    """All but the newest `keep` and those `in_use` (ids): serving, or being deployed."""
    kept = [slug for index, slug in enumerate(newest_first) if index < keep or slug.id in in_use]
    layers = sorted({layer for slug in kept for layer in slug.layers})
    digests = {slug.digest for slug in kept}
    ids = {slug.id for slug in kept}
    return [
        Removal(slug.id, slug.digest, slug.layers, layers, slug.digest in digests)
        for slug in newest_first
        if slug.id not in ids
    ]
