"""The classic buildpack API as a stranger's buildpack uses it, in real containers."""
# ruff: noqa: E501 - tables of cases, one a line

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.source.memory import File

if TYPE_CHECKING:
    from conftest import Site
else:
    Site = Any

pytestmark = pytest.mark.root


def program(text: str) -> File:
    return File(f"#!/usr/bin/env bash\nset -e\n{text}".encode(), "100755")


COMPILE = """
echo "build=$1 cache=$2 env=$3 stack=$STACK version=$SOURCE_VERSION home=$HOME request=${REQUEST_ID:+set}"
od -An -c "$3/ODD" | tr -s ' '
echo "process has it: ${ODD:-no}"
echo "cached: $(cat "$2/count" 2>/dev/null || echo nothing)"
echo x >> "$2/count"
mkdir -p "$1/.profile.d" "$1/made"
echo 'export FROM_PROFILE="at $HOME"' > "$1/.profile.d/mine.sh"
echo "export FROM_EXPORT=exported PATH=\\"/app/made:\\$PATH\\"" > "$(dirname "$0")/../export"
printf 'web: ./serve # here\\n' > "$1/Procfile"
"""
RELEASE = """cat <<YAML
---
addons: [heroku-postgresql]
config_vars:
  GREETING: 'hello there '
default_process_types:
  web: never
  worker: ./work
YAML
"""
FIRST = {
    "bin/detect": program('[ -f "$1/app.txt" ] && echo "First" || exit 1'),
    "bin/compile": program(COMPILE),
    "bin/release": program(RELEASE),
}
SECOND = {
    "bin/detect": program("echo Second"),
    "bin/compile": program('echo "sees $FROM_EXPORT and ${PATH%%:*}"; echo "wrote: $(cat "$1/Procfile")"'),
    "bin/release": program(RELEASE),
}


def test_a_buildpack_gets_all_that_heroku_documents(site: Site) -> None:
    packs = [site.buildpack("first", FIRST), site.buildpack("second", SECOND)]
    odd = " two\nlines 'and' \"quotes\" \n"

    slug = site.build({"app.txt": "x"}, buildpacks=packs, env={"ODD": odd})

    log = "\n".join(site.lines)
    assert "build=/app cache=/build/cache/bp-" in log
    assert "env=/build/env stack=heroku-24" in log
    assert "home=/app request=set" in log
    assert "process has it: no" in log
    assert "First app detected" in log
    assert "sees exported and /app/made" in log
    assert "wrote: web: ./serve # here" in log
    assert "heroku-postgresql" in log
    assert slug.process_types == {"web": "./serve", "worker": "./work"}
    assert slug.config_vars == {"GREETING": "hello there "}
    assert slug.buildpack == "git.example.org/first + git.example.org/second"
    assert site.run(slug, 'echo "$FROM_PROFILE/$GREETING/"') == "at /app/hello there /\n"


def test_the_env_dir_is_byte_exact_and_values_are_masked_in_the_log(site: Site) -> None:
    odd = "s3cret \u00fc\n\ttail \n\n"
    pack = {
        **FIRST,
        "bin/compile": program('cp "$3/ODD" "$1/odd"; echo "leak: $(head -1 "$3/ODD")"; echo "web: x" > "$1/Procfile"'),
    }

    slug = site.build({"app.txt": ""}, buildpacks=[site.buildpack("copying", pack)], env={"ODD": odd})

    assert (site.builder.layer_path(slug.layers[0]) / "odd").read_bytes() == odd.encode()
    assert "leak: [REDACTED]" in site.lines
    assert not any("s3cret" in line for line in site.lines)


def test_the_cache_of_a_buildpack_stays_until_it_is_cleared(site: Site) -> None:
    pack = [site.buildpack("first", FIRST)]
    options: dict[str, Any] = {"buildpacks": pack, "env": {"ODD": "x"}}

    site.build({"app.txt": ""}, **options)
    site.build({"app.txt": ""}, **options)
    site.builder.clear_cache("app")
    site.build({"app.txt": ""}, **options)
    site.build({"app.txt": ""}, cache=False, **options)

    assert [line for line in site.lines if line.startswith("cached:")] == [
        "cached: nothing",
        "cached: x",
        "cached: nothing",
        "cached: nothing",
    ]


def test_a_broken_cache_is_thrown_away_and_the_build_succeeds(site: Site) -> None:
    text = 'if [ -f "$2/bad" ]; then echo "EINTEGRITY"; exit 1; fi; touch "$2/bad"; echo "web: x" > "$1/Procfile"'
    pack = [site.buildpack("picky", {**FIRST, "bin/compile": program(text)})]
    site.build({"app.txt": ""}, buildpacks=pack)

    site.build({"app.txt": ""}, buildpacks=pack)

    assert any("trying once more without it" in line for line in site.lines)


def test_buildpacks_files_and_built_in_ones_mix(site: Site) -> None:
    listed = f"{site.buildpack('first', FIRST)}\n"

    slug = site.build({"app.txt": "", ".buildpacks": listed}, env={"ODD": ""})
    mixed = site.build(
        {"app.txt": ""}, buildpacks=[site.buildpack("first", FIRST), "builtin:procfile"], env={"ODD": ""}
    )

    assert slug.process_types["web"] == "./serve"
    assert mixed.buildpack == "git.example.org/first + Procfile"


def test_a_built_in_buildpack_is_planned_on_what_those_before_it_left(site: Site) -> None:
    mover = site.buildpack(
        "mover",
        {
            "bin/detect": program("echo Mover"),
            "bin/compile": program('mv "$1"/api/* "$1"; echo "export GREETING=hi" > "$(dirname "$0")/../export"'),
        },
    )
    files = {
        "api/requirements.txt": "six==1.17.0\n", "api/Procfile": "web: python -m six\n",
        "api/bin/pre_compile": "echo hook says $GREETING", "front/x": "",
    }  # fmt: skip

    slug = site.build(files, buildpacks=[mover, "builtin:python"])

    assert "hook says hi" in site.lines
    assert slug.process_types == {"web": "python -m six"}
    assert site.run(slug, "python -c 'import six; print(six.__version__)'") == "1.17.0\n"


@pytest.mark.parametrize(
    ("files", "code", "words"),
    [
        ({"bin/detect": program("exit 1")}, "no_buildpack", "bin/detect said no"),
        ({"bin/compile": program("echo Almost; echo 'The moon is full'; exit 3")}, "buildpack_failed", "exited with 3: The moon is full"),
        ({"bin/compile": File(b"#!/bin/sh\n", "100644")}, "procfile_invalid", "No process type"),
        ({"bin/release": program("exit 2")}, "buildpack_failed", "bin/release exited"),
        ({"bin/release": program("echo '{ no: yaml'")}, "buildpack_failed", "no valid YAML"),
    ],
)  # fmt: skip
def test_a_failing_buildpack_says_where_and_leaves_nothing(
    site: Site, files: dict[str, File], code: str, words: str
) -> None:
    quiet = {"bin/detect": program("echo x"), "bin/compile": program("true")}
    request = site.request({"app.txt": ""}, buildpacks=[site.buildpack("failing", {**quiet, **files})])

    with pytest.raises(BuildFailed, match=words) as failed:
        site.builder.build(request, log=site.lines.append, cancelled=lambda: False)

    assert failed.value.code == code
    assert site.left_behind(request.id) == []


def test_a_repository_that_is_no_buildpack_is_named(site: Site) -> None:
    with pytest.raises(BuildFailed, match="it is no buildpack"):
        site.build({"app.txt": ""}, buildpacks=[site.buildpack("nothing", {"README": ""})])
