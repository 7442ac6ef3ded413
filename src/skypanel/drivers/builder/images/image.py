"""An image as a value: the run image's layers, then toolchains, then the slug's. Pure but for writing layers."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, cast

from skypanel.drivers.builder.images.registry import CONFIG, LAYER, MANIFEST
from skypanel.drivers.builder.sandbox.pack import write_tar

MADE = "1970-01-01T00:00:00Z"  # the same slug gives the same digest, whenever it is published


@dataclass(frozen=True)
class Layer:
    digest: str  # of the compressed blob
    content: str  # "diff_id": digest of the tar archive
    size: int


class _Hashed:
    """Counts and hashes what goes through it."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self.hash, self.size = out, hashlib.sha256(), 0

    def write(self, data: bytes, /) -> int:
        self.hash.update(data)
        self.size += len(data)
        return self._out.write(data)

    def flush(self) -> None:
        self._out.flush()

    @property
    def digest(self) -> str:
        return f"sha256:{self.hash.hexdigest()}"


def write_layer(directory: Path, to: Path, *, prefix: str, owner: int) -> Layer:
    """The tree as a gzipped layer in the file `to`. Raises BuildFailed."""
    with to.open("wb") as file:
        outer = _Hashed(file)
        with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=cast(Any, outer), mtime=0) as packed:
            inner = _Hashed(cast(IO[bytes], packed))
            write_tar(directory, inner, prefix=prefix, owner=owner)
    return Layer(outer.digest, inner.digest, outer.size)


def dump(layer: Layer) -> str:
    return json.dumps(asdict(layer))


def load(text: str) -> Layer:
    return Layer(**json.loads(text))


def config(base: dict[str, Any], layers: Sequence[Layer]) -> bytes:
    """The image's configuration on top of the run image's."""
    given = base.get("config") or {}
    return json.dumps({
        "architecture": base.get("architecture", "amd64"),
        "os": base.get("os", "linux"),
        "created": MADE,
        "config": {"Env": given.get("Env") or [], "WorkingDir": "/app"},
        "rootfs": {
            "type": "layers",
            "diff_ids": [*base["rootfs"]["diff_ids"], *(layer.content for layer in layers)],
        },
    }, sort_keys=True).encode()  # fmt: skip


def manifest(base: dict[str, Any], configuration: bytes, layers: Sequence[Layer]) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(configuration).hexdigest()}"
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "size": len(configuration), "digest": digest},
        "layers": [
            *base["layers"],
            *({"mediaType": LAYER, "size": layer.size, "digest": layer.digest} for layer in layers),
        ],
    }
