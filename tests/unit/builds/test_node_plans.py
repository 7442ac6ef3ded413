from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import nodejs
from skypanel.drivers.builder.sandbox.interpreters import Interpreter
from skypanel.drivers.builder.sandbox.plans import Plan
from skypanel.drivers.builder.sandbox.tree import SourceTree


class Toolchains:
    """Node 20 on the machine, everything else to be installed."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    def pythons(self) -> Sequence[Interpreter]:
        return []

    def node(self, wanted: str | None) -> Interpreter:
        self.asked.append(wanted)
        if wanted in (None, "20.x"):
            return Interpreter((20, 20, 2), Path("/usr/bin/node"), None)
        return Interpreter((18, 20, 8), Path("/t/node-18/bin/node"), Path("/t/node-18"))

    def node_tool(self, package: str, version: str) -> Path:
        return Path(f"/t/{package}-{version}")

    def uv(self) -> Path:
        return Path("/t/uv")


def of(package: dict[str, Any], env: dict[str, str] | None = None, **more: str) -> Plan:
    files = {name.replace("__", "-").replace("_", "."): content for name, content in more.items()}
    tree = SourceTree.of({"package.json": json.dumps(package), **files})
    return nodejs.plan(tree, env=env or {}, toolchains=Toolchains())


EXPRESS: dict[str, Any] = {"scripts": {"start": "node x"}, "dependencies": {"express": "4"}}
LOCK = {"package__lock_json": "{}"}


def test_npm_with_a_lock_file_installs_exactly_that_without_development_dependencies() -> None:
    plan = of(EXPRESS, **LOCK)

    assert "npm ci" in plan.install
    assert "--omit=dev" in plan.install
    assert plan.build == ""
    assert plan.processes == {"web": "node x"}


@pytest.mark.parametrize(
    ("files", "name", "command"),
    [
        ({}, "Node.js (npm)", "npm install"),
        (
            {"yarn_lock": "# yarn lockfile v1"},
            "Node.js (yarn)",
            "yarn install --non-interactive --prefer-offline --frozen-lockfile",
        ),
        ({"yarn_lock": "__metadata:\n  version: 8"}, "Node.js (yarn)", "yarn install --immutable"),
        (
            {"pnpm__lock_yaml": "lockfileVersion: '9.0'"},
            "Node.js (pnpm)",
            "pnpm install --prefer-offline --frozen-lockfile",
        ),
    ],
)
def test_the_lock_file_chooses_the_package_manager(files: dict[str, str], name: str, command: str) -> None:
    plan = of(EXPRESS, **files)

    assert plan.name == name
    assert command in plan.install


def test_the_package_manager_field_wins_over_lock_files() -> None:
    plan = of({**EXPRESS, "packageManager": "pnpm@8.15.1+sha256.abc"}, **LOCK)

    assert plan.name == "Node.js (pnpm)"
    assert Path("/t/pnpm-8.15.1") in plan.toolchains


def test_the_node_version_is_the_one_that_engines_ask_for() -> None:
    plan = of({**EXPRESS, "engines": {"node": "18.x"}}, **LOCK)

    assert Path("/t/node-18") in plan.toolchains
    assert "/t/node-18/bin" in plan.profile
    assert "/t/node-18/bin" in plan.install


def test_the_machines_own_node_needs_no_toolchain() -> None:
    assert of({**EXPRESS, "engines": {"node": "20.x"}}, **LOCK).toolchains == ()


def test_a_wrong_engine_is_named() -> None:
    with pytest.raises(BuildFailed, match=r"engines\.node") as failed:
        of({**EXPRESS, "engines": {"node": "banana"}})

    assert failed.value.code == "toolchain_missing"


def test_broken_json_is_named_with_its_line() -> None:
    with pytest.raises(BuildFailed, match=r"package\.json is not valid JSON \(line 2"):
        nodejs.plan(SourceTree.of({"package.json": '{\n"a": }'}), env={}, toolchains=Toolchains())


def test_build_scripts_get_development_dependencies_which_are_pruned_afterwards() -> None:
    plan = of(
        {**EXPRESS, "scripts": {"start": "x", "heroku-prebuild": "a", "build": "b", "heroku-cleanup": "c"}}, **LOCK
    )

    assert plan.layer_key is None
    assert "--include=dev" in plan.install
    assert plan.install.index("npm run heroku-prebuild") < plan.install.index("npm ci")
    order = [plan.build.index(text) for text in ("npm run build", "npm prune --omit=dev", "npm run heroku-cleanup")]
    assert order == sorted(order)


def test_heroku_postbuild_takes_the_place_of_build() -> None:
    build = of({**EXPRESS, "scripts": {"heroku-postbuild": "a", "build": "b"}}, **LOCK).build

    assert "npm run heroku-postbuild" in build
    assert "npm run build" not in build


@pytest.mark.parametrize("env", [{"NPM_CONFIG_PRODUCTION": "false"}, {"NODE_ENV": "development"}])
def test_development_dependencies_stay_when_the_application_says_so(env: dict[str, str]) -> None:
    plan = of({**EXPRESS, "scripts": {"build": "b"}}, env, **LOCK)

    assert "--include=dev" in plan.install
    assert "prune" not in plan.build


@pytest.mark.parametrize(
    "package",
    [
        {"scripts": {"postinstall": "x"}}, {"dependencies": {"a": "file:./a"}}, {"workspaces": ["a"]},
        {"dependencies": {"a": "workspace:*"}}, {"scripts": {"prepare": "husky"}},
    ],
)  # fmt: skip
def test_modules_that_need_the_source_are_installed_with_it(package: dict[str, Any]) -> None:
    assert of(package, **LOCK).layer_key is None


def test_the_layer_depends_on_the_lock_file_and_not_on_scripts_or_version() -> None:
    first = of(EXPRESS, **LOCK).layer_key

    assert first is not None
    assert first == of({**EXPRESS, "version": "2", "scripts": {"start": "other"}}, **LOCK).layer_key
    assert first != of(EXPRESS, package__lock_json='{"x": 1}').layer_key
    assert first != of({**EXPRESS, "engines": {"node": "18.x"}}, **LOCK).layer_key


def test_without_a_start_script_the_main_file_or_server_js_runs() -> None:
    assert of({"main": "a.js"}, a_js="").processes == {"web": "node a.js"}
    assert of({}, server_js="").processes == {"web": "node server.js"}
    assert of({}).processes == {}


def test_the_package_manager_starts_what_has_hooks_around_it() -> None:
    assert of({"scripts": {"start": "node x", "prestart": "y"}}).processes == {"web": "npm start"}
