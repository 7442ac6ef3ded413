import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from skypanel.cli.exits import Exit
from skypanel.manage.main import app
from skypanel.settings import Settings

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
spec = importlib.util.spec_from_file_location("codes_in_source", Path(__file__).with_name("codes_in_source.py"))
assert spec is not None
assert spec.loader is not None
codes_in_source = importlib.util.module_from_spec(spec)
spec.loader.exec_module(codes_in_source)


def rows(page: str) -> list[list[str]]:
    """Cells of every table row of a page."""
    lines = (DOCS / page).read_text().splitlines()
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if re.match(r"\| (`|\d|[a-z])", line)
    ]


def names(page: str) -> list[str]:
    return [row[0].strip("` |") for row in rows(page)]


def commands(group: Any, prefix: str = "skypanel") -> dict[str, Any]:
    found = {}
    for name, command in group.commands.items():
        nested = getattr(command, "commands", None)
        if nested is None or getattr(command, "invoke_without_command", False):
            found[f"{prefix} {name}"] = command
        if nested is not None:
            found |= commands(command, f"{prefix} {name}")
    return found


def test_every_setting_has_its_row_with_its_default() -> None:
    shown = {row[0].strip("` |"): row[1].strip("` ") for row in rows("reference/settings.md")}
    assert set(shown) - {"name"} == {f"SKYPANEL_{name.upper()}" for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        if field.default_factory is None and isinstance(field.default, (int, float, str)) and field.default:
            expected = str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
            assert shown[f"SKYPANEL_{name.upper()}"] == expected, name


def test_every_command_has_its_row_and_nothing_else_does() -> None:
    documented = {
        " ".join(word for word in name.split() if re.fullmatch(r"[a-z][a-z-]*", word))
        for name in names("reference/cli.md")
        if name.startswith("skypanel ")
    }
    assert documented == set(commands(typer.main.get_command(app)))


def test_every_users_command_can_print_json() -> None:
    operators = {"up", "down", "demo", "migrate", "backup", "restore", "rotate-keys", "admin", "cluster"}
    for name, command in commands(typer.main.get_command(app)).items():
        if name.split()[1] not in operators and name != "skypanel env export":
            assert any("--json" in parameter.opts for parameter in command.params), name


def test_every_exit_code_is_documented() -> None:
    documented = {int(name) for name in names("reference/cli.md") if name.isdigit()}
    assert documented == {int(code) for code in Exit} | {130}


def test_every_error_code_is_documented_and_none_that_does_not_exist() -> None:
    known = codes_in_source.codes(ROOT / "src" / "skypanel")
    documented = [name for name in names("reference/errors.md") if name != "code"]
    assert sorted(documented) == sorted(set(documented))
    assert {code: known[code] for code in set(known) - set(documented)} == {}
    assert set(documented) - set(known) == set()


def test_every_library_has_its_line() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        wanted = {re.split(r"[\[>=;<\s]", name)[0] for name in tomllib.load(file)["project"]["dependencies"]}
    assert set(names("decisions/0001-libraries.md")) - {"library"} == wanted


def test_every_dependency_is_pinned_and_no_index_is_named() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    pinned = (ROOT / "constraints.txt").read_text()
    versions = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in pinned.splitlines()}
    for name in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        assert re.split(r"[\[>=;<\s]", name)[0].lower() in versions, name
    assert "://" not in pinned
    assert "--" not in pinned


@pytest.mark.parametrize("page", sorted(str(p.relative_to(ROOT)) for p in [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]))
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / page).read_text()):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_make_help_lists_every_target_of_the_readme() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert {"help", "setup", "demo", "test", "check", "fix", "bench", "up", "clean"} <= targets
