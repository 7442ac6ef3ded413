"""The built-in buildpacks with the real package registries: the project's own samples."""
# ruff: noqa: E501 - tables of cases, one a line

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import MachineToolchains

if TYPE_CHECKING:
    from conftest import Site
else:
    Site = Any

pytestmark = pytest.mark.root
SAMPLES = Path(__file__).parents[3] / "samples"


def sample(name: str) -> dict[str, str]:
    root = SAMPLES / name
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_flask_is_installed_once_and_a_changed_line_runs_no_container(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.build(sample("flask-hello"))
    assert (
        site.run(first, "gunicorn --check-config app:app && python -c 'import flask; print(flask.__name__)'")
        == "flask\n"
    )
    monkeypatch.setattr(type(site.containers), "run", lambda *_, **__: pytest.fail("a container was run"))

    second = site.build({**sample("flask-hello"), "new.txt": "1"})

    assert second.layers[1:] == first.layers[1:]
    assert second.layers[0] != first.layers[0]
    assert any("Dependencies unchanged" in line for line in site.lines)


def test_express_runs_with_its_modules_after_its_layers_were_lost(site: Site) -> None:
    slug = site.build(sample("express-hello"))
    for layer in slug.layers:
        site.builder.layer_path(layer).rename(site.data_dir / layer.replace("/", "-"))

    assert slug.process_types == {"web": "node index.js"}
    assert site.run(slug, "node -p 'typeof require(\"express\")'") == "function\n"


def test_build_scripts_run_with_development_dependencies_that_are_gone_afterwards(site: Site) -> None:
    package = {
        "name": "x", "version": "1.0.0", "scripts": {"build": "ls node_modules > built.txt", "start": "node x"},
        "dependencies": {"ms": "2.1.3"}, "devDependencies": {"isarray": "2.0.5"},
    }  # fmt: skip

    slug = site.build({"package.json": json.dumps(package)})

    layer = site.builder.layer_path(slug.layers[0])
    assert (layer / "built.txt").read_text().split() == ["isarray", "ms"]
    assert [p.name for p in (layer / "node_modules").iterdir() if not p.name.startswith(".")] == ["ms"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"requirements.txt": "no-such-package-here-4711\n", "Procfile": "web: x"}, "No package named no-such-package-here-4711"),
        ({"requirements.txt": "flask==99.9\n", "Procfile": "web: x"}, "There is no version of flask that fits ==99.9"),
        ({"package.json": '{"dependencies": {"no-such-package-here-4711": "1"}}'}, "No package named no-such-package-here-4711"),
        ({"requirements.txt": "django\n", "manage.py": "import os; os.environ['NOBODY_SET_ME']"}, "failed (KeyError: 'NOBODY_SET_ME')"),
        ({"package.json": '{"scripts": {"build": "echo boom; exit 3"}}'}, "script 'build' of package.json exited with 3: boom"),
    ],
)  # fmt: skip
def test_a_failed_install_says_what_to_do_in_one_sentence(site: Site, files: dict[str, str], words: str) -> None:
    with pytest.raises(BuildFailed) as failed:
        site.build(files)

    assert words in str(failed.value)


def test_a_start_script_that_needs_a_removed_program_is_warned_of(site: Site) -> None:
    scripts, mkdirp = {"build": "true", "start": "mkdirp x"}, {"mkdirp": "3.0.1"}

    site.build({"package.json": json.dumps({"scripts": scripts, "devDependencies": mkdirp})})
    assert any("WARNING: the start script runs mkdirp" in line for line in site.lines)

    site.lines.clear()
    site.build({"package.json": json.dumps({"scripts": scripts, "dependencies": mkdirp})})
    assert not any("WARNING: the start script" in line for line in site.lines)


def test_the_oldest_node_is_unpacked_from_the_archive_that_its_package_holds(tmp_path: Path) -> None:
    node = MachineToolchains(tmp_path / "toolchains").node("4.0.0")

    assert node.version == (4, 0, 0)


def test_python_hooks_run_as_on_heroku(site: Site) -> None:
    slug = site.build(
        {
            "requirements.txt": "", "bin/pre_compile": "#!/bin/sh\necho before $GREETING > hooks.txt",
            "bin/post_compile": "#!/bin/sh\npython -c 'import sys; print(sys.prefix)' >> hooks.txt", "Procfile": "web: x",
        },
        env={"GREETING": "hi"},
    )  # fmt: skip

    assert (site.builder.layer_path(slug.layers[0]) / "hooks.txt").read_text() == "before hi\n/app/.skypanel/venv\n"


def test_a_static_site_carries_its_server(site: Site) -> None:
    slug = site.build(sample("static-hello"))

    assert "static_server.py" in slug.process_types["web"]
    assert (
        site.run(
            slug, "python3 -I -c 'import ast,os; ast.parse(open(\".skypanel/static_server.py\").read()); print(1)'"
        )
        == "1\n"
    )


def test_slugignore_keeps_files_out_of_build_and_slug(site: Site) -> None:
    slug = site.build({"Procfile": "web: x", ".slugignore": "*.psd\n/docs\n", "a.psd": "", "docs/x": "", "b": ""})

    assert sorted(p.name for p in site.builder.layer_path(slug.layers[0]).iterdir()) == [".slugignore", "Procfile", "b"]


def test_django_collects_its_static_files_with_dependencies_it_cannot_change(site: Site) -> None:
    manage = (
        "import django, os, pathlib\n"
        "try: pathlib.Path(django.__file__).write_text('')\n"
        "except OSError as error: pathlib.Path('collected').write_text(error.strerror)\n"
    )

    slug = site.build({"requirements.txt": "django>=5,<6\n", "manage.py": manage, "Procfile": "web: x\n"})

    assert (site.builder.layer_path(slug.layers[0]) / "collected").read_text() == "Read-only file system"
    assert site.run(slug, "python -c 'import django; print(django.__name__)'") == "django\n"
