# ruff: noqa: E501 - tables of cases, one a line
from __future__ import annotations

import pytest

from skypanel.drivers.builder.sandbox.failures import last_line, looks_like_a_broken_cache, raised, summarize

UV_UNKNOWN = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because flsk was not found in the package registry and you require
      flsk==9.9, we can conclude that your requirements are unsatisfiable."""
UV_VERSION = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of flask==99.9 and you require flask==99.9,
      we can conclude that your requirements are unsatisfiable."""
UV_CONFLICT = """\
  × No solution found when resolving dependencies:
  ╰─▶ Because flask==3.0.0 depends on werkzeug>=3.0.0 and you require
      flask==3.0.0, we can conclude that you require werkzeug>=3.0.0.
      And because you require werkzeug==1.0, we can conclude that your
      requirements are unsatisfiable."""
NPM_404 = """\
npm error code E404
npm error 404 Not Found - GET https://registry.npmjs.org/exprss-nope - Not found
npm error 404
npm error 404  'exprss-nope@1' is not in this registry."""
NPM_SYNC = """\
npm error code EUSAGE
npm error
npm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync."""
NPM_VERSION = """\
npm error code ETARGET
npm error notarget No matching version found for express@99.0.0.
npm error notarget In most cases you or one of your dependencies"""


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (UV_UNKNOWN, "No package named flsk: check the requirements."),
        (UV_VERSION, "There is no version of flask that fits ==99.9"),
        (UV_CONFLICT, "contradict each other"),
        (NPM_404, "No package named exprss-nope: check package.json."),
        (NPM_SYNC, "run `npm install` and commit the lock file"),
        (NPM_VERSION, "There is no version express@99.0.0"),
        ("error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided.", "run `uv lock`"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "ran out of memory"),
        ("error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.", "run `yarn install`"),
        (" ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with frozen-lockfile", "run `pnpm install`"),
        ("x\nSyntaxError: Unexpected token }\n", "SyntaxError: Unexpected token }"),
        ("error: Couldn't parse requirement in `requirements.txt` at position 0\n  Caused by: Expected a version", "requirements.txt has a line"),
    ],
)  # fmt: skip
def test_a_failing_installer_is_summed_up_in_one_sentence(output: str, sentence: str) -> None:
    found = summarize(output.splitlines())

    assert found is not None
    assert sentence in found
    assert "\n" not in found


def test_colours_do_not_hide_the_reason() -> None:
    assert summarize(["\x1b[31mnpm error\x1b[39m code ERESOLVE"]) is not None


def test_an_unknown_failure_has_no_summary() -> None:
    assert summarize(["all is well"]) is None


def test_integrity_errors_point_to_the_cache_and_unknown_packages_do_not() -> None:
    assert looks_like_a_broken_cache(["npm error code EINTEGRITY"])
    assert looks_like_a_broken_cache(["error: Failed to deserialize cache entry"])
    assert not looks_like_a_broken_cache(UV_UNKNOWN.splitlines())
    assert not looks_like_a_broken_cache(NPM_404.splitlines())


def test_of_a_buildpacks_closing_block_the_first_line_is_the_reason() -> None:
    lines = [
        "tar: exiting",
        "",
        "\x1b[1;31m !     Error: Unable to install.\x1b[0m",
        " !     ",
        " !     Try again.",
        "",
    ]

    assert last_line(lines) == "Unable to install."
    assert last_line(["-----> Step", "it broke", ""]) == "it broke"
    assert last_line([]) == "no output"


def test_the_exception_a_traceback_ends_with_is_found_among_what_follows() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "settings.py", line 84',
        "KeyError: 'DATABASE'",
        " !     failed",
    ]

    assert raised(lines) == "KeyError: 'DATABASE'"
    assert raised(["django.core.exceptions.ImproperlyConfigured: no STATIC_ROOT"]) is not None
    assert raised(["0 static files copied"]) is None


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("npm error Package pixman-1 was not found in the pkg-config search path.", "system library pixman-1"),
        ("Package 'libffi', required by 'virtual:world', not found", "system library libffi"),
        ("src/x.c:3:10: fatal error: ldap/lber.h: No such file or directory", "header ldap/lber.h"),
        (
            "ERR! install request to https://files.example.org/a/b.tar.gz failed, reason: getaddrinfo ENOTFOUND",
            "from files.example.org",
        ),
    ],
)
def test_what_the_machine_lacks_is_not_blamed_on_the_registry(output: str, words: str) -> None:
    assert words in str(summarize([output, "npm error gyp ERR! getaddrinfo ENOTFOUND"]))
