"""The buildpack field: empty for auto-detection, else one short name or Git URL a line, in order."""

from __future__ import annotations

from collections.abc import Sequence


def buildpacks_of(text: str) -> list[str]:
    return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]


def text_of(buildpacks: Sequence[str]) -> str:
    return "\n".join(buildpacks)
