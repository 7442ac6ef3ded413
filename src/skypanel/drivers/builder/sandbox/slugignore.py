"""`.slugignore`: files that are removed before the build. Ruby's globs, no negation; a pattern
without a slash matches at any depth.
https://devcenter.heroku.com/articles/slug-compiler#ignoring-files-with-slugignore"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from skypanel.drivers.builder.sandbox.layout import remove_tree


def ignored(patterns: str, paths: Iterable[str]) -> set[str]:
    """The files and topmost directories to remove."""
    lines = [line.split("#", 1)[0].strip() for line in patterns.splitlines()]
    anchored = [_expression(line) for line in lines if "/" in line]
    anywhere = [_expression(line) for line in lines if line and "/" not in line]
    found: set[str] = set()
    for path in paths:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            candidate, name = "/".join(parts[:length]), parts[length - 1]
            if any(e.fullmatch(candidate) for e in anchored) or any(e.fullmatch(name) for e in anywhere):
                found.add(candidate)
                break
    return found


def _expression(pattern: str) -> re.Pattern[str]:
    pattern = pattern.strip("/")
    out = ""
    index = 0
    while index < len(pattern):
        if pattern.startswith("**/", index):
            out, index = out + "(?:[^/]+/)*", index + 3
        elif pattern[index] == "*":
            out, index = out + "[^/]*", index + 1
        elif pattern[index] == "?":
            out, index = out + "[^/]", index + 1
        else:
            out, index = out + re.escape(pattern[index]), index + 1
    return re.compile(out)


def apply(root: Path, targets: Iterable[str]) -> None:
    """Only before anything of the tenant has run in `root`: the tree is still the one that we have written."""
    for target in targets:
        remove_tree(root / target)
