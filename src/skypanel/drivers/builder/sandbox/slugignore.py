"""`.slugignore`: files that are removed before the build. Ruby's globs, no negation; a pattern
without a slash matches at any depth.
https://devcenter.heroku.com/articles/slug-compiler#ignoring-files-with-slugignore"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox.layout import remove_tree

MAX_PATTERNS = 500


def ignored(patterns: str, paths: Iterable[str]) -> set[str]:
    """The files and topmost directories to remove. Raises BuildFailed for a list without end."""
    lines = [line for text in patterns.splitlines() if (line := text.split("#", 1)[0].strip())]
    if len(lines) > MAX_PATTERNS:
        raise BuildFailed("slugignore_invalid", f".slugignore has more than {MAX_PATTERNS} patterns: use wider ones.")
    anchored = [_parts(line) for line in dict.fromkeys(lines) if "/" in line]
    anywhere = [_expression(line) for line in dict.fromkeys(lines) if "/" not in line]
    named = cache(lambda name: any(expression.fullmatch(name) for expression in anywhere))
    placed = cache(lambda path: any(_matches(parts, path.split("/")) for parts in anchored))
    found: set[str] = set()
    for path in paths:
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            candidate = "/".join(parts[:length])
            if named(parts[length - 1]) or placed(candidate):
                found.add(candidate)
                break
    return found


Part = re.Pattern[str] | None  # None: `**`


def _parts(pattern: str) -> list[Part]:
    parts = pattern.strip("/").split("/")
    # `**` at the end is an ordinary star, as it is in Ruby.
    return [None if part == "**" and n < len(parts) - 1 else _expression(part) for n, part in enumerate(parts)]


def _expression(part: str) -> re.Pattern[str]:
    """Of one name. What stands behind a star is looked for once, from the left, and never tried again further on:
    the groups are atomic, else a name of 200 letters and ten stars would keep the platform busy for years."""
    first, *others = (re.escape(piece).replace(r"\?", ".") for piece in re.split(r"\*+", part))
    if not others:
        return re.compile(first, re.DOTALL)
    between = "".join(f"(?>.*?{piece})" for piece in others[:-1] if piece)
    return re.compile(f"{first}{between}.*{others[-1]}", re.DOTALL)


def _matches(parts: Sequence[Part], names: Sequence[str]) -> bool:
    """One look at each pair at most, whatever number of `**` there is."""
    reached = {0}  # how many parts fit the names so far
    for name in names:
        following: set[int] = set()
        for at in _through(parts, reached):
            if at < len(parts):
                part = parts[at]
                if part is None:
                    following.add(at)
                elif part.fullmatch(name):
                    following.add(at + 1)
        if not following:
            return False
        reached = following
    return len(parts) in reached


def _through(parts: Sequence[Part], reached: set[int]) -> set[int]:
    """`**` may stand for no directory at all."""
    found = set(reached)
    for start in reached:
        at = start
        while at < len(parts) and parts[at] is None:
            at += 1
            found.add(at)
    return found


def apply(root: Path, targets: Iterable[str]) -> None:
    """Only before anything of the tenant has run in `root`: the tree is still the one that we have written."""
    for target in targets:
        remove_tree(root / target)
