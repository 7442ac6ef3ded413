from __future__ import annotations

import tomllib

from skypanel.drivers.builder.sandbox import poetry

OLD = """
[[package]]
name = "flask"
version = "3.0.0"
python-versions = ">=3.8"
files = [{file = "flask.whl", hash = "sha256:aa"}]
[package.dependencies]
Werkzeug = ">=3.0.0"
colorama = {version = "*", markers = "platform_system == \\"Windows\\""}
asgiref = {version = ">=3.2", optional = true, markers = "extra == \\"async\\""}
[package.extras]
async = ["asgiref (>=3.2)"]

[[package]]
name = "werkzeug"
version = "3.0.1"
python-versions = ">=3.8"

[[package]]
name = "colorama"
version = "0.4.6"
python-versions = "*"

[[package]]
name = "asgiref"
version = "3.7.2"
python-versions = "*"

[[package]]
name = "pytest"
version = "8.0.0"
python-versions = "*"
"""
NEW = """
[[package]]
name = "flask"
version = "3.1.0"
python-versions = ">=3.9"
groups = ["main", "dev"]
markers = {main = "python_version >= \\"3.10\\"", dev = "python_version < \\"3\\""}

[[package]]
name = "extra-only"
version = "1"
optional = true
groups = ["main"]

[[package]]
name = "pytest"
version = "8.0.0"
groups = ["dev"]

[[package]]
name = "mine"
version = "0.1"
groups = ["main"]
[package.source]
type = "git"
url = "https://host/mine.git"
reference = "main"
resolved_reference = "abc123"
"""


def lines(lock: str, pyproject: str) -> list[str]:
    return poetry.requirements(tomllib.loads(lock), tomllib.loads(pyproject)).splitlines()


def test_an_older_lock_gives_what_the_main_dependencies_lead_to() -> None:
    assert lines(OLD, '[tool.poetry.dependencies]\npython = "^3.10"\nFlask = "^3"') == [
        "flask==3.0.0 --hash=sha256:aa",
        "werkzeug==3.0.1",
        'colorama==0.4.6 ; (platform_system == "Windows")',
    ]


def test_extras_bring_their_packages() -> None:
    found = lines(OLD, '[tool.poetry.dependencies]\nflask = {version = "^3", extras = ["async"]}')

    assert "asgiref==3.7.2" in found


def test_dependencies_in_the_project_table_count_too() -> None:
    assert (
        "werkzeug==3.0.1" in lines(OLD, "[project]\ndependencies = [\"flask[async] (>=3) ; python_version > '3'\"]")[1]
    )


def test_a_newer_lock_says_groups_and_markers_itself() -> None:
    assert lines(NEW, "") == [
        'flask==3.1.0 ; python_version >= "3.10"',
        "mine @ git+https://host/mine.git@abc123",
    ]
