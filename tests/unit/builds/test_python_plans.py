from __future__ import annotations

from pathlib import Path

import pytest

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import pipenv, python
from skypanel.drivers.builder.sandbox.interpreters import Interpreter, choose_python
from skypanel.drivers.builder.sandbox.plans import Plan
from skypanel.drivers.builder.sandbox.python_version import wanted_python
from skypanel.drivers.builder.sandbox.tree import SourceTree

SYSTEM = Interpreter((3, 11, 2), Path("/usr/bin/python3.11"), None)
PYTHONS = [
    SYSTEM,
    Interpreter((3, 10, 13), Path("/opt/3.10.13/bin/python3.10"), Path("/opt/3.10.13")),
    Interpreter((3, 12, 1), Path("/opt/3.12.1/bin/python3.12"), Path("/opt/3.12.1")),
    Interpreter((3, 13, 0), Path("/opt/3.13.0/bin/python3.13"), Path("/opt/3.13.0")),
]


def of(files: dict[str, str], env: dict[str, str] | None = None) -> Plan:
    return python.plan(SourceTree.of(files), env=env or {}, pythons=PYTHONS)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (3, 11, 2)),
        ({".python-version": "3.12\n"}, (3, 12, 1)),
        ({".python-version": "# ours\n3.10.13\n"}, (3, 10, 13)),
        ({"runtime.txt": "python-3.13.0\n"}, (3, 13, 0)),
        ({"runtime.txt": "python-3.12.99"}, (3, 12, 1)),
        ({"runtime.txt": "3.14"}, (3, 13, 0)),
        ({"runtime.txt": "python-3.6.1"}, (3, 10, 13)),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.12,<3.13"'}, (3, 12, 1)),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"'}, (3, 11, 2)),
        ({"pyproject.toml": '[project]\nrequires-python = "~=3.12"'}, (3, 12, 1)),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.12"'}, (3, 12, 1)),
        ({"Pipfile": '[requires]\npython_version = "3.10"'}, (3, 10, 13)),
    ],
)
def test_the_python_that_is_asked_for_is_taken_or_the_nearest(files: dict[str, str], expected: tuple[int, ...]) -> None:
    chosen, _ = choose_python(PYTHONS, wanted_python(SourceTree.of(files)))

    assert chosen.version == expected


def test_another_minor_version_is_taken_with_a_loud_warning_and_another_patch_with_a_note() -> None:
    _, loud = choose_python(PYTHONS, wanted_python(SourceTree.of({"runtime.txt": "3.14"})))
    _, quiet = choose_python(PYTHONS, wanted_python(SourceTree.of({"runtime.txt": "3.12.9"})))

    assert loud[0].startswith("WARNING: runtime.txt asks for Python 3.14")
    assert "WARNING" not in quiet[0]


@pytest.mark.parametrize("files", [{"runtime.txt": "python-2.7.18"}, {"runtime.txt": "banana"},
                                   {"pyproject.toml": '[project]\nrequires-python = ">=3.15"'}])  # fmt: skip
def test_what_nothing_satisfies_is_a_missing_toolchain(files: dict[str, str]) -> None:
    with pytest.raises(BuildFailed) as failed:
        choose_python(PYTHONS, wanted_python(SourceTree.of(files)))

    assert failed.value.code == "toolchain_missing"


def test_the_layer_depends_on_requirements_and_not_on_the_code() -> None:
    first = of({"requirements.txt": "flask\n", "app.py": "1"})

    assert first.layer_key == of({"requirements.txt": "flask\n", "app.py": "2", "more.py": ""}).layer_key
    assert first.layer_key != of({"requirements.txt": "flask>3\n", "app.py": "1"}).layer_key
    assert first.layer_key != of({"requirements.txt": "flask\n", "runtime.txt": "3.12"}).layer_key
    assert first.layer_key != of({"requirements.txt": "flask\n"}, {"PIP_INDEX_URL": "https://x/"}).layer_key
    assert first.layer_key == of({"requirements.txt": "flask\n"}, {"GREETING": "hi"}).layer_key


def test_included_requirements_belong_to_the_layer() -> None:
    files = {
        "requirements.txt": "-r requirements/base.txt\n",
        "requirements/base.txt": "-c ../pins.txt\nflask\n",
        "pins.txt": "flask<4",
    }

    assert set(of(files).inputs) == set(files)
    assert of(files).layer_key != of({**files, "pins.txt": "flask<3"}).layer_key


def test_an_included_file_that_is_missing_is_named() -> None:
    with pytest.raises(BuildFailed, match=r"includes base\.txt"):
        of({"requirements.txt": "-r base.txt"})


@pytest.mark.parametrize("line", ["-e .", ".", "./lib", "-e ./lib[extra]", "file:///x", "-e libs/mine"])
def test_local_packages_are_installed_together_with_the_source(line: str) -> None:
    assert of({"requirements.txt": f"flask\n{line}\n", "setup.py": ""}).layer_key is None


def test_an_editable_git_requirement_needs_no_source() -> None:
    assert of({"requirements.txt": "-e git+https://host/x#egg=x"}).layer_key is not None


def test_hooks_run_around_the_install_and_may_change_everything() -> None:
    made = of({"requirements.txt": "flask", "bin/pre_compile": "", "bin/post_compile": ""})

    assert made.layer_key is None
    assert made.install.index("bin/pre_compile") < made.install.index("uv pip install")
    assert "bin/post_compile" in made.build


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"requirements.txt": "", "uv.lock": "", "pyproject.toml": ""}, "Python (pip)"),
        ({"uv.lock": "", "pyproject.toml": "[project]\nname='x'"}, "Python (uv)"),
        ({"poetry.lock": "", "pyproject.toml": ""}, "Python (Poetry)"),
        ({"Pipfile": "", "Pipfile.lock": "{}"}, "Python (Pipenv)"),
        ({"pyproject.toml": "[project]\nname='x'"}, "Python (pyproject.toml)"),
        ({"setup.py": ""}, "Python (setup.py)"),
    ],
)
def test_each_kind_of_lock_file_has_its_installer(files: dict[str, str], name: str) -> None:
    assert of(files).name == name


def test_django_collects_its_static_files_unless_told_not_to() -> None:
    files = {"requirements.txt": "Django>=5\ngunicorn", "manage.py": "", "shop/wsgi.py": ""}

    assert "collectstatic --noinput" in of(files).build
    assert of(files, {"DISABLE_COLLECTSTATIC": "1"}).build == ""
    assert of(files).processes == {"web": "gunicorn --bind 0.0.0.0:$PORT shop.wsgi"}


def test_a_flask_app_without_procfile_is_served_by_gunicorn_where_it_is_installed() -> None:
    app = "from flask import Flask\nserver = Flask(__name__)\n"

    assert of({"requirements.txt": "flask\ngunicorn", "app.py": app}).processes == {
        "web": "gunicorn --bind 0.0.0.0:$PORT app:server"
    }
    without = of({"requirements.txt": "flask", "app.py": app})
    assert without.processes == {}
    assert "Procfile" in without.hint


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"requirements.txt": "fastapi\nuvicorn==0.34", "main.py": "app = FastAPI()\n"}, "main:app"),
        ({"requirements.txt": "fastapi[standard]>=0.115", "app/main.py": "api: X = fastapi.FastAPI("}, "app.main:api"),
        ({"requirements.txt": "fastapi[all]", "api.py": "app = FastAPI()\n"}, "api:app"),
        ({"pyproject.toml": "", "uv.lock": '[[package]]\nname = "uvicorn"\n', "main.py": "app=FastAPI()"}, "main:app"),
        ({"requirements.txt": "starlette\nuvicorn", "server.py": "site = Starlette(routes=[])\n"}, "server:site"),
    ],
)  # fmt: skip
def test_a_fastapi_app_without_procfile_is_served_by_uvicorn(files: dict[str, str], expected: str) -> None:
    assert of(files).processes == {"web": f"uvicorn --host 0.0.0.0 --port $PORT {expected}"}


def test_a_fastapi_app_without_a_server_is_told_which_one_to_add() -> None:
    found = of({"requirements.txt": "fastapi", "main.py": "app = FastAPI()\n"})

    assert found.processes == {}
    assert found.hint.startswith("Add uvicorn to the requirements") and "main:app" in found.hint


def test_pipfile_locks_become_pinned_requirements() -> None:
    lock = {
        "_meta": {"sources": [{"url": "https://pypi.org/simple"}, {"url": "https://mine/simple"}]},
        "default": {
            "flask": {"version": "==3.0.0", "markers": "python_version >= '3.8'", "extras": ["async"]},
            "mine": {"git": "https://host/mine.git", "ref": "abc"},
        },
        "develop": {"pytest": {"version": "==8"}},
    }

    assert pipenv.from_lock(lock).splitlines() == [
        "--extra-index-url https://mine/simple",
        "flask[async]==3.0.0 ; python_version >= '3.8'",
        "mine @ git+https://host/mine.git@abc",
    ]
