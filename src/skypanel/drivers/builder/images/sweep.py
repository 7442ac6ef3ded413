"""Takes blobs that no image needs any more off the registry's disk, while images are published and pulled.

The registry's own `garbage-collect` is for times when nobody pushes: what is named between its look and its deletes is
lost. Here a blob is put aside first, where the registry no longer finds it: whoever asks for it, or names it in a
manifest, is told so and uploads it again. What a request that was under way has named nonetheless shows when we look
again, and is put back. Only what nobody has wanted for long after that is deleted. So nobody waits, and there is no
lock that could be lost.

Where the registry keeps things: https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/paths.go
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from skypanel.drivers.builder.images.registry import Registry, RegistryFailed

ASIDE = "removing-"
NAMED = re.compile(rb"sha256:([0-9a-f]{64})")
CANARY = "skypanel/canary"
LOOK_S = 10.0


@dataclass(frozen=True)
class Freed:
    blobs: int = 0
    size: int = 0  # bytes


class Sweep:
    """`root`: of the registry's files. `ours`: below this name only publishers push, that upload again what is gone;
    what is linked anywhere else stays. `young_s`: longer than an image usually takes from its first blob to its
    manifest. `settle_s`: longer than a request of the registry takes, and than machines that share its files by NFS
    remember what they saw there (`acdirmax`, a minute)."""

    def __init__(
        self, registry: Registry, root: Path, *, ours: str, young_s: float = 3600, settle_s: float = 180
    ) -> None:
        self._registry = registry
        self._root = root
        self._blobs = root / "docker/registry/v2/blobs/sha256"
        self._repositories = root / "docker/registry/v2/repositories"
        self._ours = self._repositories / ours
        self._young_s, self._settle_s = young_s, settle_s
        self._names: dict[str, frozenset[str]] = {}  # manifest -> what it names; hexadecimal, as everything here

    def run(self, wait: Callable[[float], object] = time.sleep) -> Freed:
        """Waits for another one that is at it. `wait(seconds)`: true to stop. May be killed at any moment: the next run
        puts back what was aside. Raises RegistryFailed and OSError; everything is back then."""
        if not self._blobs.is_dir():
            return Freed()
        with (self._root / "sweep.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self._root.glob(f"{ASIDE}*"):
                self._put_all_back(left)
            self._names.clear()
            aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=self._root))
            try:
                canary = self._put_aside(aside)
                return self._settle(aside, canary, wait)
            finally:
                self._put_all_back(aside)

    def _put_aside(self, aside: Path) -> str:
        """Returns a blob that the registry had for certain, and must no longer find before anything is deleted."""
        digest = self._registry.put_bytes(CANARY, b"canary")
        canary = digest.removeprefix("sha256:")
        old = set(self._old())
        for name in {*(old - self._wanted(old, aside)), canary}:
            self._home(name).rename(aside / name)
        return canary

    def _settle(self, aside: Path, canary: str, wait: Callable[[float], object]) -> Freed:
        until = time.monotonic() + self._settle_s
        while True:
            last = time.monotonic() >= until
            for name in self._wanted({path.name for path in aside.iterdir()} - {canary}, aside):
                self._put_back(aside / name)
            if last:
                break
            if wait(min(LOOK_S, max(0.0, until - time.monotonic()))):
                return Freed()
        if self._registry.has_blob(CANARY, f"sha256:{canary}"):
            raise RegistryFailed(
                "The image registry still names what is gone, from a cache of its own: nothing was removed. "
                "`skypanel cluster init` configures it without one."
            )
        shutil.rmtree(aside / canary)
        sizes = [(path / "data").stat().st_size for path in aside.iterdir()]
        shutil.rmtree(aside)
        return Freed(len(sizes), sum(sizes))

    def _old(self) -> Iterator[str]:
        """Those that did not come just now."""
        young = self._young()
        for group in self._blobs.iterdir():
            for blob in group.iterdir():
                if (changed := _changed(blob / "data")) is not None and changed < young:
                    yield blob.name

    def _young(self) -> float:
        return time.time() - self._young_s

    def _wanted(self, among: Collection[str], aside: Path) -> set[str]:
        """Those that a manifest names, or somebody may be about to name in one."""
        wanted: set[str] = set()
        for repository in self._each_repository():
            for revision in _digests(repository / "_manifests/revisions"):
                if (revision / "link").exists():
                    wanted |= self._named(repository, revision.name, aside)
            since = self._young() if self._ours in repository.parents else 0.0
            for layer in _digests(repository / "_layers"):
                if layer.name in among and (changed := _changed(layer / "link")) is not None and changed >= since:
                    wanted.add(layer.name)
        return wanted.intersection(among)

    def _each_repository(self) -> Iterator[Path]:
        def fail(error: OSError) -> None:
            raise error  # what cannot be seen may be wanted

        for path, names, _ in os.walk(self._repositories, onerror=fail):
            if "_layers" in names or "_manifests" in names:
                yield Path(path)
            names[:] = [name for name in names if not name.startswith("_")]

    def _named(self, repository: Path, manifest: str, aside: Path) -> frozenset[str]:
        """The manifest itself and every digest in it, whatever for."""
        if manifest not in self._names:
            content = _read(self._home(manifest) / "data", aside / manifest / "data")
            if hashlib.sha256(content).hexdigest() != manifest:
                raise RegistryFailed(
                    f"The manifest sha256:{manifest} of {repository.relative_to(self._repositories)} in the image "
                    "registry is lost or damaged: nothing was removed. Delete it in the registry and try again."
                )
            named = (name.decode() for name in NAMED.findall(content))
            self._names[manifest] = frozenset({manifest, *named})
        return self._names[manifest]

    def _home(self, name: str) -> Path:
        return self._blobs / name[:2] / name

    def _put_back(self, path: Path) -> None:
        """Also where it was uploaded again meanwhile: the content is the same."""
        home = self._home(path.name)
        if (path / "data").exists():  # else a killed sweep has put it back, or deleted it
            home.mkdir(exist_ok=True)
            (path / "data").replace(home / "data")
        path.rmdir()

    def _put_all_back(self, aside: Path) -> None:
        if aside.is_dir():
            for path in aside.iterdir():
                self._put_back(path)
            aside.rmdir()


def _digests(directory: Path) -> Iterator[Path]:
    """Directories below that of an algorithm; without a `link` in it what it was for has been deleted."""
    for algorithm in directory.iterdir() if directory.is_dir() else ():
        yield from algorithm.iterdir()


def _changed(path: Path) -> float | None:
    """When, in seconds since 1970; None when it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


def _read(*paths: Path) -> bytes:
    """The first that is there; nothing when none is."""
    for path in paths:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            continue
    return b""
