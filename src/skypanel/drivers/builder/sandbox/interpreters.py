"""The interpreters of this machine: found once, chosen purely."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from skypanel.drivers import shell
from skypanel.drivers.builder.port import BuildFailed

Version = tuple[int, ...]
OLDEST_PYTHON = (3, 9)


@dataclass(frozen=True)
class Interpreter:
    version: Version
    path: Path  # the program
    prefix: Path | None  # to be bound into containers; None: below /usr, which is there anyway

    @property
    def shown(self) -> str:
        return ".".join(str(part) for part in self.version)


class Toolchains(Protocol):
    def pythons(self) -> Sequence[Interpreter]: ...

    def node(self, wanted: str | None) -> Interpreter:
        """A Node.js that satisfies the range (None: the machine's own, or the newest with long-term support).
        Raises BuildFailed `toolchain_missing`."""
        ...

    def node_tool(self, package: str, version: str) -> Path:
        """The prefix (`bin` inside) of npm, yarn or pnpm in the wanted version, installed once."""
        ...

    def uv(self) -> Path: ...


def choose_python(available: Sequence[Interpreter], wanted: Wanted | None) -> tuple[Interpreter, list[str]]:
    """The exact version, else the same minor, else the nearest minor above, else below; each but the first two with a
    warning. Raises BuildFailed `toolchain_missing`."""
    usable = sorted(available, key=lambda i: (i.prefix is None, i.version), reverse=True)
    if not usable:
        raise BuildFailed(
            "toolchain_missing", "There is no Python 3.9 or newer on this machine: ask the operator for one."
        )
    if wanted is None:
        return usable[0], []
    if wanted.version is None:
        # The machine's own where it fits, else the oldest minor: locked packages have wheels for it, and it is what
        # the author had when writing the range.
        fitting = sorted(
            (i for i in usable if wanted.allows(i.version)), key=lambda i: (i.prefix is not None, i.version[:2])
        )
        if not fitting:
            have = ", ".join(sorted({".".join(map(str, i.version[:2])) for i in usable}))
            raise BuildFailed(
                "toolchain_missing",
                f"{wanted.source} asks for Python {wanted.text}, and this machine has {have}: change it, or ask the "
                "operator to install that version.",
            )
        return fitting[0], []
    exact = [i for i in usable if i.version[: len(wanted.version)] == wanted.version]
    if exact:
        return exact[0], []
    minor = wanted.version[:2]
    same = [i for i in usable if i.version[:2] == minor]
    if same:
        return same[0], [
            f"Python {wanted.text} is not on this machine; using {same[0].shown}, of the same minor version."
        ]
    newer = sorted((i for i in usable if i.version > minor), key=lambda i: i.version)
    older = sorted((i for i in usable if i.version < minor), key=lambda i: i.version)
    if minor[0] != 3:
        raise BuildFailed("toolchain_missing", f"{wanted.source} asks for Python {wanted.text}: use Python 3.")
    chosen = newer[0] if newer else older[-1]
    return chosen, [
        f"WARNING: {wanted.source} asks for Python {wanted.text}, which is not on this machine. "
        f"Using Python {chosen.shown}, the nearest one. Ask the operator for {wanted.text} if that breaks something."
    ]


@dataclass(frozen=True)
class Wanted:
    """`version` where a version is named; else `text` is a range such as `>=3.11,<4`."""

    text: str
    source: str  # the file that says so
    version: Version | None = None

    def allows(self, version: Version) -> bool:
        clauses = self.text[:MAX_CLAUSES].split(",")
        return all(_clause(clause.strip(), version) for clause in clauses if clause.strip())


MAX_CLAUSES = 500  # characters of what a repository asks for
_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|<|>|\^|~)?\s*v?(\d+(?:\.\d+)*)(\.\*)?")


def _clause(clause: str, version: Version) -> bool:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        return clause in ("", "*")
    operator, bound = match[1] or "==", tuple(int(part) for part in match[2].split("."))
    same = version[: len(bound)] == bound
    padded = version + (0,) * (len(bound) - len(version))
    if operator in ("~=", "~"):
        upper = bound[:-1] if len(bound) > 1 and operator == "~=" else bound[:2]
        return padded >= bound and version[: len(upper)] == upper
    if operator == "^":
        return padded >= bound and version[:1] == bound[:1]
    return {
        ">=": padded >= bound, "<=": padded <= bound or same, "<": padded < bound and not same,
        ">": padded > bound and not same, "==": same, "!=": not same,
    }[operator]  # fmt: skip


def find_pythons(roots: Sequence[Path]) -> list[Interpreter]:
    """`roots`: directories that hold one prefix per version, as pyenv's and uv's do. And the system's own in /usr."""
    found: list[Interpreter] = []
    for path in sorted(Path("/usr/bin").glob("python3.*")):
        if re.fullmatch(r"python3\.\d+", path.name) and (version := _asked(path)) and version >= OLDEST_PYTHON:
            found.append(Interpreter(version, path, None))
    for root in roots:
        for prefix in sorted(root.iterdir()) if root.is_dir() else []:
            match = re.search(r"(?:^|-)(3\.\d+\.\d+)(?:$|-)", prefix.name)
            if match is None or prefix.is_symlink() or "freethreaded" in prefix.name:
                continue
            version = tuple(int(part) for part in match[1].split("."))
            program = prefix / "bin" / f"python3.{version[1]}"
            if program.exists() and version >= OLDEST_PYTHON:
                found.append(Interpreter(version, program, prefix))
    return found


def _asked(program: Path) -> Version | None:
    try:
        output = shell.run([program, "--version"], timeout_s=10).stdout.decode()
    except shell.CommandFailed:
        return None
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", output)
    return tuple(int(part) for part in match.groups()) if match else None
