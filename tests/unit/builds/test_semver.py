# ruff: noqa: E501 - tables of cases, one a line
from __future__ import annotations

import pytest

from skypanel.drivers.builder.sandbox import semver

AVAILABLE = [(14, 21, 3), (16, 20, 2), (18, 17, 0), (18, 20, 8), (20, 9, 0), (20, 20, 2), (22, 1, 0), (24, 0, 1)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("20", (20, 20, 2)), ("20.x", (20, 20, 2)), ("v18", (18, 20, 8)), ("18.17", (18, 17, 0)), ("18.17.0", (18, 17, 0)),
        ("^20.9.0", (20, 20, 2)), ("~20.9.0", (20, 9, 0)), ("~20", (20, 20, 2)), (">=18 <20", (18, 20, 8)),
        (">=18.0.0", (24, 0, 1)), (">= 18", (24, 0, 1)), ("16 || 18", (18, 20, 8)), ("14 - 16", (16, 20, 2)), ("*", (24, 0, 1)), ("", (24, 0, 1)),
        ("<=18", (18, 20, 8)), (">20", (24, 0, 1)), ("<18", (16, 20, 2)), ("^21", None), ("=20.9.0", (20, 9, 0)),
        ("18.x || >=20.0.0 <22", (20, 20, 2)), ("lts/*", (22, 1, 0)), ("^0.10", None),
    ],
)  # fmt: skip
def test_ranges_choose_the_newest_version_that_fits(wanted: str, expected: tuple[int, int, int] | None) -> None:
    assert semver.best(wanted, AVAILABLE) == expected


@pytest.mark.parametrize("text", ["banana", ">= banana", "$(id)", "20; rm"])
def test_what_is_no_range_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        semver.best(text, AVAILABLE)
