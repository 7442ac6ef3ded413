"""npm's version ranges, as `engines.node` uses them. https://docs.npmjs.com/cli/using-npm/semver"""

from __future__ import annotations

import re
from collections.abc import Iterable

Version = tuple[int, int, int]
MAX_LENGTH = 500
_VERSION = re.compile(r"[v=\s]*(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:[-+].*)?")
_COMPARATOR = re.compile(r"(>=|<=|>|<|=|\^|~>?)?\s*([v=]?[\dxX*][^\s|]*)")
INFINITE: Version = (10**9, 0, 0)
ZERO: Version = (0, 0, 0)


def parse(text: str) -> Version | None:
    """A full release version; pre-releases and others give None."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text.strip())
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def best(wanted: str, available: Iterable[Version]) -> Version | None:
    """The newest version that the range allows. Raises ValueError when the range is none."""
    intervals = ranges(wanted)
    fitting = [v for v in available if any(low <= v < high for low, high in intervals)]
    return max(fitting, default=None)


def allows(wanted: str, version: Version) -> bool:
    return any(low <= version < high for low, high in ranges(wanted))


def ranges(text: str) -> list[tuple[Version, Version]]:
    """Half-open intervals, one for each part between `||`. Raises ValueError, for one of endless length too."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{text[:40]!r}… is no version range")
    return [_part(part.strip()) for part in text.split("||")]


def _part(text: str) -> tuple[Version, Version]:
    if text.lower() in ("", "*", "x", "latest", "node", "current"):
        return ZERO, INFINITE
    if text.lower() in ("lts", "lts/*"):
        return (22, 0, 0), (23, 0, 0)
    hyphen = re.fullmatch(r"(\S+)\s+-\s+(\S+)", text)
    if hyphen:
        return _span(hyphen[1])[0], _span(hyphen[2])[1]
    low, high = ZERO, INFINITE
    rest = _COMPARATOR.sub("", text).strip(" ,")
    if rest:
        raise ValueError(f"{text!r} is no version range")
    for operator, version in _COMPARATOR.findall(text):
        one_low, one_high = _compared(operator, version)
        low, high = max(low, one_low), min(high, one_high)
    return low, high


def _compared(operator: str, text: str) -> tuple[Version, Version]:
    low, high = _span(text)
    if operator == ">=":
        return low, INFINITE
    if operator == ">":
        return high, INFINITE
    if operator == "<":
        return ZERO, low
    if operator == "<=":
        return ZERO, high
    given = _numbers(text)
    if operator.startswith("~"):
        return low, (_next(low, 1) if len(given) > 1 else high)
    if operator == "^":
        if not given:
            return low, high
        index = next((i for i, number in enumerate(given) if number), len(given) - 1)
        return low, _next(low, index)
    return low, high


def _span(text: str) -> tuple[Version, Version]:
    """All versions that a (partial) version names: `18` -> 18.0.0 up to 19.0.0."""
    given = _numbers(text)
    if not given:
        return ZERO, INFINITE
    padded = [*given, 0, 0][:3]
    low = (padded[0], padded[1], padded[2])
    return low, _next(low, len(given) - 1)


def _numbers(text: str) -> list[int]:
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no version")
    numbers: list[int] = []
    for group in match.groups():
        if group is None or not group.isdigit():
            break
        numbers.append(int(group))
    return numbers


def _next(version: Version, index: int) -> Version:
    if index == 0:
        return (version[0] + 1, 0, 0)
    if index == 1:
        return (version[0], version[1] + 1, 0)
    return (version[0], version[1], version[2] + 1)
