"""The built-in Node.js buildpack: npm, yarn (1 and later) and pnpm."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import semver
from skypanel.drivers.builder.sandbox.interpreters import Interpreter, Toolchains
from skypanel.drivers.builder.sandbox.plans import Plan, layer_key
from skypanel.drivers.builder.sandbox.tree import SourceTree

PROFILE = """\
export PATH="{path}$HOME/node_modules/.bin:$PATH"
export NODE_ENV="${{NODE_ENV:-production}}"
export NODE_HOME="${{NODE_HOME:-{home}}}"
export WEB_CONCURRENCY="${{WEB_CONCURRENCY:-1}}"
"""
INSTALL_SCRIPTS = ("preinstall", "install", "postinstall", "prepare", "prepublish", "preprepare", "postprepare")
BUILD_SCRIPTS = ("heroku-prebuild", "heroku-postbuild", "build", "heroku-cleanup")
CONFIG = (".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "pnpm-workspace.yaml")


@dataclass(frozen=True)
class _Manager:
    name: str  # npm, yarn, pnpm
    version: str | None  # None: what the machine has
    lock: str | None


@dataclass(frozen=True)
class _Commands:
    install: str
    install_production: str
    prune: str
    run: str


def plan(tree: SourceTree, *, env: Mapping[str, str], toolchains: Toolchains) -> Plan:
    """Raises BuildFailed `dependency_failed` or `toolchain_missing`."""
    package = tree.json("package.json")
    scripts = {str(k): str(v) for k, v in _dict(package, "scripts").items()}
    manager = _manager(tree, package)
    engines = _dict(package, "engines")
    node = toolchains.node(_wanted(tree, engines))
    prefixes = [] if node.prefix is None else [node.prefix]
    tool = _tool(manager, engines, node, toolchains)
    prefixes += [tool] if tool is not None and tool not in prefixes else []
    commands = _commands(manager, tree)
    full = env.get("NODE_ENV", "production") != "production" or env.get("NPM_CONFIG_PRODUCTION", "") == "false"
    builds = [
        name for name in BUILD_SCRIPTS if name in scripts and not (name == "build" and "heroku-postbuild" in scripts)
    ]
    begin = _begin(node, prefixes)
    install = commands.install if builds or full else commands.install_production
    title = f'echo "-----> {install}"\n'
    if builds or full:
        script = begin + _prebuild(scripts, commands) + title + _with_dev(commands.install)
    else:
        script = begin + title + f"NODE_ENV=production {commands.install_production}\n"
    build = "" if not builds else begin + _builds(builds, commands, prune=not full)
    if builds and not full and "Procfile" not in tree:
        build += _pruned_start(scripts)
    key = None
    if not builds and _apart(tree, package, scripts):
        inputs = [path for path in ("package.json", manager.lock, *CONFIG) if path is not None and path in tree]
        contents = [(path, _installs(tree, path, package)) for path in inputs]
        key = layer_key("node", contents=contents, facts=[node.shown, manager.name, str(tool), script], env=env)
    processes = {"web": _start(manager, scripts)} if "start" in scripts else {}
    if not processes and "server.js" in tree:
        processes = {"web": "node server.js"}
    elif not processes and isinstance(package.get("main"), str) and package["main"] in tree:
        processes = {"web": f"node {shlex.quote(package['main'])}"}
    notes = [f"Node.js {node.shown}, {manager.name}{' ' + manager.version if manager.version else ''}"]
    if manager.lock is None:
        notes.append(
            "WARNING: there is no lock file: every build may install other versions. Commit package-lock.json."
        )
    return Plan(
        name=f"Node.js ({manager.name})",
        install=script,
        build=build,
        layer_key=key,
        layer_paths=("node_modules",),
        inputs=[path for path in ("package.json", manager.lock, *CONFIG) if path is not None and path in tree],
        env=npm_env(node),
        toolchains=tuple(prefixes),
        processes=processes,
        profile=PROFILE.format(
            path="".join(f"{prefix}/bin:" for prefix in prefixes), home=str(node.prefix or node.path.parent.parent)
        ),
        notes=notes,
        hint="Add a `start` script to package.json, or a Procfile with a line such as `web: node index.js`.",
    )


def _start(manager: _Manager, scripts: Mapping[str, str]) -> str:
    """The start script itself where that is the same: a package manager around it costs 0.3 s and 40 MB for each
    replica, and doesn't pass every signal on."""
    start = scripts["start"].strip()
    wrapped = "prestart" in scripts or "poststart" in scripts or "npm_" in start or "\n" in start or not start
    return f"{manager.name} start" if wrapped else start


def npm_env(node: Interpreter) -> dict[str, str]:
    """Headers of this very Node.js, so that native modules are compiled without downloading any."""
    root = node.path.parent.parent
    return {"npm_config_nodedir": str(root)} if (root / "include" / "node").is_dir() else {}


def _dict(package: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = package.get(name)
    return value if isinstance(value, dict) else {}


def _wanted(tree: SourceTree, engines: Mapping[str, Any]) -> str | None:
    wanted = engines.get("node")
    source = "engines.node in package.json"
    if not isinstance(wanted, str):
        path = tree.any_of(".nvmrc", ".node-version")
        wanted, source = ((tree.text(path) or "").strip(), path) if path else (None, "")
    if not wanted:
        return None
    try:
        semver.ranges(wanted)
    except ValueError as error:
        raise BuildFailed(
            "toolchain_missing", f"{source} is {wanted[:40]!r}, which is no version range: write 20.x."
        ) from error
    return wanted


def _manager(tree: SourceTree, package: Mapping[str, Any]) -> _Manager:
    declared = re.fullmatch(r"(npm|yarn|pnpm)@(\d+\.\d+\.\d+)(?:\+.*)?", str(package.get("packageManager", "")))
    locks = {
        "pnpm": "pnpm-lock.yaml",
        "yarn": "yarn.lock",
        "npm": tree.any_of("npm-shrinkwrap.json", "package-lock.json"),
    }
    if declared is not None:
        lock = locks[declared[1]]
        return _Manager(declared[1], declared[2], lock if lock and lock in tree else None)
    if "pnpm-lock.yaml" in tree:
        return _Manager("pnpm", _pnpm_for(tree), "pnpm-lock.yaml")
    if "yarn.lock" in tree:
        berry = "__metadata:" in (tree.text("yarn.lock") or "")[:2000]
        return _Manager("yarn", "4.9.2" if berry else "1.22.22", "yarn.lock")
    return _Manager("npm", None, locks["npm"])


def _pnpm_for(tree: SourceTree) -> str:
    match = re.search(r"lockfileVersion:\s*'?(\d+)", tree.text("pnpm-lock.yaml") or "")
    return {"5": "7.33.7", "6": "8.15.9"}.get(match[1] if match else "9", "9.15.9")


def _tool(manager: _Manager, engines: Mapping[str, Any], node: Interpreter, toolchains: Toolchains) -> Path | None:
    """Where the package manager comes from: beside node, or installed in the version wanted."""
    if manager.name == "npm":
        wanted = engines.get("npm")
        own = (node.path.parent / "npm").exists()
        if manager.version is not None:
            return toolchains.node_tool("npm", manager.version)
        if own and not (isinstance(wanted, str) and re.fullmatch(r"\d+\.\d+\.\d+", wanted)):
            return None
        exact_npm = wanted if isinstance(wanted, str) and re.fullmatch(r"[\d.]+", wanted) else _npm_for(node.version)
        return toolchains.node_tool("npm", exact_npm)
    version = engines.get(manager.name)
    exact = version if isinstance(version, str) and re.fullmatch(r"\d+\.\d+\.\d+", version) else manager.version
    if manager.name == "yarn" and not str(exact).startswith(("0.", "1.")):
        return toolchains.node_tool("@yarnpkg/cli-dist", str(exact))
    return toolchains.node_tool(manager.name, str(exact))


def _npm_for(node: Sequence[int]) -> str:
    """The newest npm that runs on that Node.js, as a major version."""
    bounds: Sequence[tuple[tuple[int, ...], str]] = (
        ((20, 17), "11"), ((18, 17), "10"), ((14, 17), "9"), ((10,), "7"), ((6,), "6"), ((0,), "4"),
    )  # fmt: skip
    return next(npm for oldest, npm in bounds if tuple(node) >= oldest)


def _is_berry(manager: _Manager, tree: SourceTree) -> bool:
    return ".yarnrc.yml" in tree or (manager.version or "1.").partition(".")[0] not in ("0", "1")


def _commands(manager: _Manager, tree: SourceTree) -> _Commands:
    if manager.name == "yarn":
        if _is_berry(manager, tree):
            frozen = " --immutable" if manager.lock else " --no-immutable"
            linker = "YARN_NODE_LINKER=${YARN_NODE_LINKER:-node-modules} " if ".yarnrc.yml" not in tree else ""
            # Berry has no production install without a plug-in: everything is installed, as on Heroku.
            return _Commands(f"{linker}yarn install{frozen}", f"{linker}yarn install{frozen}", "true", "yarn run")
        frozen = " --frozen-lockfile" if manager.lock else ""
        common = f"yarn install --non-interactive --prefer-offline{frozen}"
        prune = "yarn install --non-interactive --production --ignore-scripts --prefer-offline"
        return _Commands(f"{common} --production=false", f"{common} --production", prune, "yarn --silent run")
    if manager.name == "pnpm":
        frozen = " --frozen-lockfile" if manager.lock else " --no-frozen-lockfile"
        common = f"pnpm install --prefer-offline{frozen} --package-import-method=copy"
        return _Commands(f"{common} --prod=false", f"{common} --prod", "pnpm prune --prod --ignore-scripts", "pnpm run")
    flags = "--prefer-offline --no-audit --no-fund"
    verb = "npm ci" if manager.lock else "npm install"
    dev = "" if manager.lock else " --no-package-lock"
    return _Commands(
        f"{verb} {flags}{dev} --include=dev",
        f"{verb} {flags}{dev} --omit=dev",
        "npm prune --omit=dev --no-audit --no-fund --ignore-scripts",
        "npm run",
    )


def _begin(node: Interpreter, prefixes: Sequence[Path]) -> str:
    path = "".join(f"{prefix}/bin:" for prefix in [*prefixes, *([node.path.parent.parent] if not prefixes else [])])
    return (
        f"export PATH={shlex.quote(path)}$HOME/node_modules/.bin:$PATH\n"
        "export npm_config_cache=$CACHE_DIR/npm npm_config_update_notifier=false\n"
        "export npm_config_loglevel=${npm_config_loglevel:-error} CI=${CI:-true}\n"
        "export YARN_CACHE_FOLDER=$CACHE_DIR/yarn YARN_ENABLE_GLOBAL_CACHE=false YARN_ENABLE_TELEMETRY=0\n"
        "export npm_config_store_dir=$CACHE_DIR/pnpm COREPACK_ENABLE_STRICT=0 COREPACK_ENABLE_DOWNLOAD_PROMPT=0\n"
        "[ -z \"${NPM_CONFIG_CAFILE:-}\" ] || export YARN_HTTPS_CA_FILE_PATH=\"$NPM_CONFIG_CAFILE\"\n"
        "export npm_config_manage_package_manager_versions=false\n"
        "export NODE_ENV=${NODE_ENV:-production}\n"
    )  # fmt: skip


def _with_dev(command: str) -> str:
    return f"NPM_CONFIG_PRODUCTION=false {command}\n"


def _prebuild(scripts: Mapping[str, str], commands: _Commands) -> str:
    return _script("heroku-prebuild", commands) if "heroku-prebuild" in scripts else ""


def _builds(builds: Sequence[str], commands: _Commands, *, prune: bool) -> str:
    wanted = [name for name in builds if name not in ("heroku-prebuild", "heroku-cleanup")]
    text = "".join(_script(name, commands) for name in wanted)
    if prune:
        text += f'echo "-----> Pruning development dependencies"\n{commands.prune}\n'
    if "heroku-cleanup" in builds:
        text += _script("heroku-cleanup", commands)
    return text


def _script(name: str, commands: _Commands) -> str:
    return (
        f'echo "-----> {commands.run} {name}"\n'
        f'{commands.run} {name} || {{ code=$?; echo "script {name} $code" > $OUT_DIR/failed; exit $code; }}\n'
    )


def _apart(tree: SourceTree, package: Mapping[str, Any], scripts: Mapping[str, str]) -> bool:
    """Whether node_modules depends on nothing of the source but the manifest and the lock file."""
    if any(name in scripts for name in INSTALL_SCRIPTS) or "workspaces" in package or "node_modules" in tree:
        return False
    if (
        tree.has_directory("node_modules")
        or tree.has_directory(".yarn")
        or "pnpm-workspace.yaml" in tree
        or "binding.gyp" in tree
    ):
        return False
    if (
        tree.has_directory("patches")
        or package.get("type") == "workspace"
        or "yarnPath" in (tree.text(".yarnrc.yml") or "")
    ):
        return False
    wanted = [
        str(v)
        for kind in ("dependencies", "optionalDependencies", "devDependencies")
        for v in _dict(package, kind).values()
    ]
    return not any(
        version.startswith(("file:", "link:", ".", "/", "~/", "portal:", "patch:", "workspace:")) for version in wanted
    )


def _pruned_start(scripts: Mapping[str, str]) -> str:
    """A word in the build's log where the start script's program was only a development dependency (NestJS's is)."""
    program = scripts.get("start", "").split(" ")[0]
    if not re.fullmatch(r"[\w.-]+", program):
        return ""
    other = "npm run start:prod" if "start:prod" in scripts else "node dist/main"
    return (
        f"command -v {program} > /dev/null || echo ' !     WARNING: the start script runs {program}, which is a "
        "development dependency and was removed after the build. Add a Procfile with a line such as "
        f"`web: {other}`, or set NPM_CONFIG_PRODUCTION=false to keep it.'\n"
    )


def _installs(tree: SourceTree, path: str, package: Mapping[str, Any]) -> bytes | None:
    """What of a file installing depends on: of package.json not the version or the scripts of the application."""
    if path != "package.json":
        return tree.bytes(path)
    ignored = {"version", "description", "scripts", "keywords", "author", "license", "homepage", "bugs", "main"}
    return repr(sorted((k, v) for k, v in package.items() if k not in ignored)).encode()
