# ruff: noqa: E501 - tables of cases, one a line
from __future__ import annotations

import pytest

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox.detect import Unit, decide
from skypanel.drivers.builder.sandbox.tree import SourceTree
from skypanel.drivers.source.port import TreeEntry


def tree(*names: str, **contents: str) -> SourceTree:
    return SourceTree.of({name: contents.get(name, "") for name in names})


@pytest.mark.parametrize(
    ("names", "builtin"),
    [
        (["requirements.txt", "app.py"], "python"), (["Pipfile"], "python"), (["uv.lock", "pyproject.toml"], "python"),
        (["package.json"], "nodejs"), (["index.html"], "static"), (["public/index.html"], "static"),
        (["Procfile", "run.sh"], "procfile"), (["Procfile", "index.html"], "procfile"),
        (["package.json", "requirements.txt"], "nodejs"), (["requirements.txt", "go.mod"], "python"),
    ],
)  # fmt: skip
def test_files_decide_in_herokus_order(names: list[str], builtin: str) -> None:
    assert decide(tree(*names), buildpacks=[]).units == [Unit(builtin=builtin)]


def test_the_log_says_why_and_what_else_was_there() -> None:
    reasons = decide(tree("package.json", "requirements.txt"), buildpacks=[]).reasons

    assert "Node.js: package.json is there" in reasons
    assert any("requirements.txt is there too" in reason and "heroku/python" in reason for reason in reasons)


def test_chosen_buildpacks_win_over_files() -> None:
    decision = decide(tree("package.json", ".buildpacks"), buildpacks=["builtin:python", "https://host/bp.git#v1"])

    assert decision.units == [Unit(builtin="python"), Unit(url="https://host/bp.git", branch="v1")]


def test_a_buildpacks_file_wins_over_detection() -> None:
    files = SourceTree.of(
        {".buildpacks": "# two\nhttps://host/a.git\n\nhttps://host/b.git#main\n", "package.json": "{}"}
    )

    units = decide(files, buildpacks=[]).units
    assert units == [Unit(url="https://host/a.git"), Unit(url="https://host/b.git", branch="main")]


def test_short_names_in_a_buildpacks_file_are_understood() -> None:
    files = SourceTree.of({".buildpacks": "heroku/nodejs\nheroku/apt\n"})

    units = decide(files, buildpacks=[]).units
    assert units == [Unit(builtin="nodejs"), Unit(url="https://github.com/heroku/heroku-buildpack-apt")]


@pytest.mark.parametrize(("name", "language"), [("Gemfile", "Ruby"), ("go.mod", "Go"), ("main.go", "Go"), ("pom.xml", "Java"),
                                                ("composer.json", "PHP"), ("build.gradle", "Gradle")])  # fmt: skip
def test_a_language_without_a_toolchain_is_refused_in_one_clear_line(name: str, language: str) -> None:
    with pytest.raises(BuildFailed, match=language) as failed:
        decide(tree(name, "Procfile"), buildpacks=[])

    assert failed.value.code == "toolchain_missing"
    assert "choose the buildpack heroku/" in str(failed.value)
    assert "\n" not in str(failed.value)


def test_nothing_known_says_what_to_add() -> None:
    with pytest.raises(BuildFailed, match=r"add requirements\.txt") as failed:
        decide(tree("README.md"), buildpacks=[])

    assert failed.value.code == "no_buildpack"


def test_a_link_is_never_read() -> None:
    files = SourceTree([TreeEntry("Procfile", "120000", "0" * 40, 11)], lambda _: b"/etc/passwd")

    assert files.text("Procfile") is None
