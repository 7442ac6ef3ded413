"""A complete builder without containers: reads the Procfile of the commit and keeps its files as one layer."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from skypanel.drivers.builder.port import BuildCancelled, BuildFailed, BuildRequest, BuiltSlug, StoredSlug
from skypanel.drivers.builder.procfile import parse
from skypanel.drivers.source.port import Source


class MemoryBuilder:
    """`root`: where files and archives are put. A test may set `fails` (app id -> error), and `steps`, which is called
    before the build's end, to change the world in between."""

    def __init__(self, *, root: Path, source: Source) -> None:
        self._root = root
        self._source = source
        self.fails: dict[str, BuildFailed] = {}
        self.requests: list[BuildRequest] = []
        self.cleared: list[str] = []
        self.steps: Callable[[BuildRequest], None] = lambda _: None

    def build(self, request: BuildRequest, *, log: Callable[[str], None], cancelled: Callable[[], bool]) -> BuiltSlug:
        self.clean(request.id)
        self.requests.append(request)
        work = self._root / "builds" / request.id
        work.mkdir(parents=True)
        try:
            log("-----> Building")
            self._source.checkout(
                request.mirror, request.commit.sha, to=work, uid=request.uid, url=request.git_url, log=log
            )
            self.steps(request)
            if cancelled():
                raise BuildCancelled
            if request.app_id in self.fails:
                raise self.fails[request.app_id]
            return self._slug(request, work, log)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _slug(self, request: BuildRequest, work: Path, log: Callable[[str], None]) -> BuiltSlug:
        procfile = work / "Procfile"
        if procfile.is_symlink() or not procfile.is_file():
            raise BuildFailed("procfile_invalid", "No process type is known. Add a Procfile with a `web:` line.")
        processes = parse(procfile.read_text(errors="replace"))
        content = repr([(entry.path, entry.sha) for entry in self._source.tree(request.mirror, request.commit.sha)])
        data = f"{request.id}\n{content}".encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        layer = f"{request.app_id}/src-{request.id}"
        self.layer_path(layer).parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.layer_path(layer), ignore_errors=True)
        work.replace(self.layer_path(layer))
        archive = self.archive_path(request.app_id, digest)
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(data)
        log(f"-----> Slug of {len(data)} bytes")
        return BuiltSlug(digest, len(data), (layer,), (), processes, {}, "Memory", "memory")

    def clean(self, build_id: str) -> None:
        shutil.rmtree(self._root / "builds" / build_id, ignore_errors=True)

    def layer_path(self, layer: str) -> Path:
        return self._root / "layers" / layer

    def archive_path(self, app_id: str, digest: str) -> Path:
        return self._root / "slugs" / app_id / digest.removeprefix("sha256:")

    def image(self, app_id: str, uid: int, slug: StoredSlug) -> str | None:  # noqa: ARG002
        return None

    def ensure(self, app_id: str, uid: int, digest: str, layers: Sequence[str]) -> Sequence[Path]:
        del uid
        for layer in layers:
            if not self.layer_path(layer).is_dir():
                if not self.archive_path(app_id, digest).is_file():
                    raise FileNotFoundError("The stored slug of this release is missing: deploy again.")
                self.layer_path(layer).mkdir(parents=True)
        return [self.layer_path(layer) for layer in layers]

    def remove_slug(self, app_id: str, digest: str, layers: Sequence[str], *, keep_layers: Sequence[str]) -> None:
        self.archive_path(app_id, digest).unlink(missing_ok=True)
        for layer in set(layers) - set(keep_layers):
            shutil.rmtree(self.layer_path(layer), ignore_errors=True)

    def clear_cache(self, app_id: str) -> None:
        self.cleared.append(app_id)

    def remove_app(self, app_id: str) -> None:
        for kind in ("layers", "slugs"):
            shutil.rmtree(self._root / kind / app_id, ignore_errors=True)

    def builds(self) -> Sequence[str]:
        root = self._root / "builds"
        return sorted(path.name for path in root.iterdir()) if root.is_dir() else []
