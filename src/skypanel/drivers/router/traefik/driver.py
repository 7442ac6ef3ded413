"""The Router port over files that Traefik follows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path

from skypanel.drivers.router.check import check_key
from skypanel.drivers.router.port import Route, RouterFailed
from skypanel.drivers.router.traefik import files
from skypanel.drivers.router.traefik.inside import Inside
from skypanel.drivers.router.traefik.setup import read_secret, write

PLATFORM_FILE = "platform.yml"
FOREIGN = "foreign:"  # routes() shows files that are not ours under such keys, so that a reconciler removes them
UNREADABLE = "unreadable"
POLL_S = 0.005


class TraefikRouter:
    """`directory` was prepared by `setup.prepare`; `host` and `http_port` are the public entry point."""

    def __init__(self, *, directory: Path, host: str, http_port: int, gid: int | None = None) -> None:
        self._directory = directory
        self._dynamic = directory / "dynamic"
        self._gid = gid
        self._host = host
        self._port = http_port

    def put(self, route: Route) -> None:
        content = files.text(files.render(route))
        self._move_foreign_away()  # one file that Traefik cannot read would keep it from seeing this one
        try:
            write(self._file(route.key), content, staging=self._directory / "staging", gid=self._gid)
        except OSError as error:
            raise RouterFailed(f"the route of {route.name} could not be written: {error}") from error

    def remove(self, key: str) -> None:
        if key.startswith(FOREIGN):
            self._move_foreign_away()
            return
        check_key(key)
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            raise RouterFailed(f"the route {key} could not be removed: {error}") from error

    def routes(self) -> Mapping[str, str]:
        """From what is on disk, so that a file changed by hand has another fingerprint."""
        found: dict[str, str] = {}
        for path in self._entries():
            if path.name == PLATFORM_FILE:
                continue
            key = self._key(path)
            if key is None:
                found[FOREIGN + path.name] = UNREADABLE
                continue
            try:
                found[key] = hashlib.sha256(path.read_bytes()).hexdigest()
            except FileNotFoundError:
                continue  # removed between the listing and here
            except OSError:
                found[key] = UNREADABLE
        return found

    def fingerprint(self, route: Route) -> str:
        return hashlib.sha256(files.text(files.render(route)).encode()).hexdigest()

    def confirm(self, route: Route, *, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._inside() as inside:
            while True:
                if inside.serves(route):
                    return True
                if time.monotonic() >= deadline:
                    return False
                time.sleep(POLL_S)

    def ready(self) -> bool:
        try:
            with self._inside() as inside:
                return inside.answers()
        except RouterFailed:
            return False

    def _inside(self) -> Inside:
        try:
            secret = read_secret(self._directory)
        except OSError as error:
            raise RouterFailed(f"the router's directory {self._directory} is not prepared: {error}") from error
        return Inside(host=self._host, port=self._port, secret=secret)

    def _file(self, key: str) -> Path:
        return self._dynamic / f"{files.router_name(key)}.yml"

    def _entries(self) -> list[Path]:
        try:
            return sorted(self._dynamic.iterdir())
        except OSError as error:
            raise RouterFailed(f"the router's directory cannot be read: {error}") from error

    def _key(self, path: Path) -> str | None:
        if path.suffix != ".yml" or not path.name.startswith(files.PREFIX) or path.is_dir():
            return None
        key = path.stem.removeprefix(files.PREFIX)
        try:
            check_key(key)
        except RouterFailed:
            return None
        return key

    def _move_foreign_away(self) -> None:
        for path in self._entries():
            if path.name != PLATFORM_FILE and self._key(path) is None:
                aside = self._directory / "foreign"
                aside.mkdir(mode=0o700, exist_ok=True)
                path.rename(aside / f"{time.time_ns()}-{path.name[:200]}")
