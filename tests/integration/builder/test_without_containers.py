"""The same builder over plain processes: the trusted mode of machines without root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from skypanel.drivers.builder.sandbox import MachineToolchains, SandboxBuilder, passed_through
from skypanel.drivers.runtime.process import ProcessRuntime
from skypanel.drivers.source.memory import File, MemorySource

if TYPE_CHECKING:
    from conftest import Site as ContainerSite
else:
    ContainerSite = Any

SAMPLES = Path(__file__).parents[3] / "samples"


@pytest.fixture
def site(tmp_path: Path, make_site: Any) -> Iterator[ContainerSite]:
    runtime = ProcessRuntime(data_dir=tmp_path, node="here")
    runtime.prepare()
    source = MemorySource()
    builder = SandboxBuilder(
        data_dir=tmp_path, source=source, containers=runtime, toolchains=MachineToolchains(tmp_path / "toolchains"),
        passthrough=passed_through(["SSL_CERT_FILE", "UV_*"]),
    )  # fmt: skip
    yield make_site(builder, source, runtime, tmp_path)
    runtime.close()


def test_flask_is_built_and_runs(site: ContainerSite) -> None:
    files = {path.name: path.read_text() for path in (SAMPLES / "flask-hello").iterdir() if path.is_file()}

    slug = site.build(files)

    assert len(slug.layers) == 2
    assert (
        site.run(slug, "gunicorn --check-config app:app && python -c 'import flask; print(flask.__name__)'")
        == "flask\n"
    )


def test_django_collects_static_files_with_the_dependencies_of_their_own_layer(site: ContainerSite) -> None:
    manage = "import django, os, pathlib; pathlib.Path('collected').write_text(os.path.basename(django.__file__))"

    slug = site.build({"requirements.txt": "django>=5,<6\n", "manage.py": manage, "Procfile": "web: x\n"})

    assert (site.builder.layer_path(slug.layers[0]) / "collected").read_text() == "__init__.py"


def test_a_classic_buildpack_gets_its_directories(site: ContainerSite) -> None:
    text = """#!/bin/sh
    test "$HOME" = "$1" && cat "$3/GREETING" > "$1/greeting" && touch "$2/x" && echo "web: x" > "$1/Procfile"
    """
    url = site.buildpack("mine", {"bin/compile": File(text.encode(), "100755")})

    slug = site.build({"a": ""}, buildpacks=[url], env={"GREETING": "hi"})

    assert (site.builder.layer_path(slug.layers[0]) / "greeting").read_text() == "hi"
    assert any((site.data_dir / "cache" / "app").iterdir())
