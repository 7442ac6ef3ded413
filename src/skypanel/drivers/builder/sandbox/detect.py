"""Which buildpack a commit gets, and why: decided over names alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox.tree import SourceTree

ORDER = "Ruby, Node.js, Python, Java, PHP, Go, static site, Procfile only"
PYTHON_FILES = ("requirements.txt", "uv.lock", "poetry.lock", "Pipfile.lock", "Pipfile", "pyproject.toml", "setup.py")

_SHORT = re.compile(r"heroku/([a-z][a-z-]*)(?:#.*)?")


@dataclass(frozen=True)
class Unit:
    """One buildpack to run. `builtin`: python, nodejs, static, procfile; else a Git URL with an optional branch."""

    builtin: str | None = None
    url: str | None = None
    branch: str = ""


@dataclass(frozen=True)
class Decision:
    units: Sequence[Unit]
    reasons: Sequence[str]  # lines for the build log


def unit(entry: str) -> Unit:
    """`builtin:python`, or `https://host/buildpack.git#branch`. Raises BuildFailed `buildpack_failed` for others."""
    if entry.startswith("builtin:"):
        name = entry.removeprefix("builtin:")
        if name not in ("python", "nodejs", "static", "procfile"):
            raise BuildFailed("buildpack_failed", f"There is no built-in buildpack {name!r}: choose another.")
        return Unit(builtin=name)
    if short := _SHORT.fullmatch(entry):  # only from a .buildpacks file: settings are resolved before
        if short[1] in ("python", "nodejs"):
            return Unit(builtin=short[1])
        entry = f"https://github.com/heroku/heroku-buildpack-{entry.removeprefix('heroku/')}"
    url, _, branch = entry.partition("#")
    return Unit(url=url, branch=branch)


def decide(tree: SourceTree, *, buildpacks: Sequence[str]) -> Decision:
    """Chosen buildpacks win, then a `.buildpacks` file, then what the files say in Heroku's documented order.
    Raises BuildFailed `no_buildpack` or `toolchain_missing`."""
    if buildpacks:
        return Decision([unit(entry) for entry in buildpacks], ["Buildpacks chosen in the application's settings"])
    listed = [line.strip() for line in (tree.text(".buildpacks") or "").splitlines()]
    listed = [line for line in listed if line and not line.startswith("#")]
    if listed:
        return Decision([unit(entry) for entry in listed], ["Buildpacks listed in the file .buildpacks"])
    return _by_files(tree)


def _by_files(tree: SourceTree) -> Decision:
    asked = [f"Detection order: {ORDER}"]
    python = tree.any_of(*PYTHON_FILES)
    if "Gemfile" in tree:
        raise _missing("Ruby", "Gemfile", "ruby")
    if "package.json" in tree:
        reasons = [*asked, "Node.js: package.json is there"]
        if python is not None:
            reasons.append(
                f"{python} is there too; as on Heroku, Node.js comes first. To run both, choose the buildpacks "
                "heroku/nodejs and heroku/python, in that order; for Python alone, heroku/python."
            )
        return Decision([Unit(builtin="nodejs")], reasons)
    if python is not None:
        return Decision([Unit(builtin="python")], [*asked, f"Python: {python} is there"])
    for name, files, buildpack in (
        ("Java", ("pom.xml",), "java"),
        ("Java (Gradle)", ("build.gradle", "build.gradle.kts", "gradlew"), "gradle"),
        ("PHP", ("composer.json", "index.php"), "php"),
        ("Go", ("go.mod", "Gopkg.lock", "Godeps/Godeps.json", "vendor/vendor.json"), "go"),
    ):
        found = tree.any_of(*files) or (tree.with_suffix(".go") if name == "Go" else None)
        if found is not None:
            raise _missing(name, found, buildpack)
    found = tree.any_of("static.json", "index.html", "public/index.html", "dist/index.html")
    if found is not None and "Procfile" not in tree:
        return Decision([Unit(builtin="static")], [*asked, f"Static site: {found} is there"])
    if "Procfile" in tree:
        return Decision([Unit(builtin="procfile")], [*asked, "Procfile only: no file of a known language"])
    raise BuildFailed(
        "no_buildpack",
        "No buildpack fits: add requirements.txt (Python), package.json (Node.js), index.html (static site) or a "
        "Procfile at the root of the repository, or choose a buildpack by its Git URL in the application's settings.",
    )


def _missing(language: str, file: str, buildpack: str) -> BuildFailed:
    return BuildFailed(
        "toolchain_missing",
        f"{file} says {language}, which has no toolchain on this machine: choose the buildpack heroku/{buildpack} "
        f"(https://github.com/heroku/heroku-buildpack-{buildpack}) in the application's settings.",
    )
