"""`check_skips.py REPORT ALLOWED`: 1 when a test of the JUnit report was skipped that the list does not name.

A line of the list: `path::test name`, or a beginning of it and `*`, then ` # why`. Without a reason it is nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def skipped(report: Path) -> list[tuple[str, str]]:
    """(name, reason) of every skipped test: `tests.unit.cli.test_x::test_y`."""
    root = ElementTree.parse(report).getroot()  # noqa: S314 - pytest's own output of a moment ago
    return [
        (f"{case.get('classname')}::{case.get('name')}", skip.get("message") or "")
        for case in root.iter("testcase")
        for skip in case.findall("skipped")
        if skip.get("type") != "pytest.xfail"
    ]


def allowed(text: str) -> list[str]:
    pairs = (line.partition(" # ") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return [name.strip() for name, _, reason in pairs if reason.strip()]


def is_allowed(name: str, patterns: list[str]) -> bool:
    return any(name == p or (p.endswith("*") and name.startswith(p[:-1])) for p in patterns)


def main() -> int:
    patterns = allowed(Path(sys.argv[2]).read_text())
    refused = [(name, reason) for name, reason in skipped(Path(sys.argv[1])) if not is_allowed(name, patterns)]
    for name, reason in refused:
        print(f"skipped and not allowed: {name} ({reason})")
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
