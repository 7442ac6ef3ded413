"""Every error code that the source can answer with, found by reading it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from skypanel.errors import SkyPanelError

CODE = re.compile(r"[a-z]+(_[a-z]+)*")
RAISED_WITH_A_CODE = re.compile(r"(\w*Failed|Permanent|failed|_failed|refuse|_refuse|fail)$")


def statuses(source: Path) -> dict[str, set[int]]:
    """Code -> HTTP statuses of the errors that are raised with it, where the class says so by its name."""
    found: dict[str, set[int]] = {}
    for file in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            kind, carriers = _kind_of(node)
            for code in (code for carrier in carriers for code in _constants(carrier)):
                if kind is not None:
                    found.setdefault(code, set()).add(kind.status)
    return found


def _kind_of(node: ast.AST) -> tuple[type[SkyPanelError] | None, list[ast.expr]]:
    kinds = {kind.__name__: kind for kind in (SkyPanelError, *SkyPanelError.__subclasses__())}
    if isinstance(node, ast.Call):
        return kinds.get(_name(node.func)), [keyword.value for keyword in node.keywords if keyword.arg == "code"]
    if isinstance(node, ast.ClassDef):
        bases = [kinds[_name(base)] for base in node.bases if _name(base) in kinds]
        values = [
            statement.value for statement in node.body if isinstance(statement, ast.Assign) and _sets_code(statement)
        ]
        return kinds.get(node.name, bases[0] if bases else None), values
    return None, []


def _sets_code(statement: ast.Assign) -> bool:
    return any(isinstance(target, ast.Name) and target.id == "code" for target in statement.targets)


def codes(source: Path) -> dict[str, str]:
    """Code -> the file that has it."""
    found: dict[str, str] = {}
    for file in sorted(source.rglob("*.py")):
        for code in _codes_of(ast.parse(file.read_text())):
            found.setdefault(code, str(file.relative_to(source)))
    return found


def _codes_of(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _class_attribute(node)
        elif isinstance(node, ast.Dict) and node.keys and all(_is_status(key) for key in node.keys):
            for value in node.values:
                yield from _constants(value)
        elif (
            isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple) and node.value.elts
        ):  # `return "port_unbound", "…"`
            yield from (code for code in _constants(node.value.elts[0]) if "_" in code)
        elif isinstance(node, ast.Assign) and _name(node.targets[0]) == "reason_code":
            yield from _constants(node.value)
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in ("code", "reason_code"):
                    yield from _constants(keyword.value)
            if node.args and RAISED_WITH_A_CODE.match(_name(node.func)) and _name(node.func).endswith("Failed"):
                yield from (code for code in _constants(node.args[0]) if "_" in code)


def _is_status(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and 400 <= node.value < 600


def _class_attribute(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        if (isinstance(statement, ast.Assign) and _sets_code(statement)) or (
            isinstance(statement, ast.AnnAssign) and _name(statement.target) == "code" and statement.value is not None
        ):
            yield from _constants(statement.value)


def _constants(node: ast.expr) -> Iterator[str]:
    """A literal, or both of `"a" if … else "b"`."""
    if isinstance(node, ast.IfExp):
        yield from _constants(node.body)
        yield from _constants(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
        yield node.value


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )
