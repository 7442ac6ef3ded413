"""A slug's archive: one tar stream in zstd frames, one per layer: unchanged layers are not compressed again.

    skippable frame: JSON [[layer, bytes], …]   skipped by every zstd program
    frame per layer: its entries, bottom layer first, so that later ones win when everything is unpacked together
    last frame: tar's two empty blocks

`tar --zstd -x` reads the whole as /app. Digest: SHA-256 of the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import struct
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO, Protocol

import zstandard

from skypanel.drivers.builder.port import BuildFailed

SKIPPABLE = 0x184D2A50
LEVEL = 3
CHUNK = 1 << 20
MAX_DEPTH = 200  # an open directory each


class Writes(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Counted:
    """Ends a layer that would take longer to read than its build may write: sparse files are as large as they say."""

    def __init__(self, out: Writes, limit: int | None) -> None:
        self._out, self._left, self._limit = out, limit, limit

    def write(self, data: bytes, /) -> object:
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0:
                raise BuildFailed(
                    "build_disk", f"The files of the slug are larger than {(self._limit or 0) >> 20} MB: remove some."
                )
        return self._out.write(data)


def pack_layer(directory: Path, fragment: Path, *, limit_bytes: int | None = None) -> None:
    """Writes `fragment` from the tree. Links are kept as links and never followed; devices, sockets and pipes are left
    out; hard links become files; set-id bits are dropped. Raises BuildFailed when a file cannot be read as it is, or
    when all of them are larger than `limit_bytes`."""
    draft = fragment.with_name(f".{fragment.name}.{os.getpid()}")
    compressor = zstandard.ZstdCompressor(level=LEVEL, threads=-1 if _is_large(directory) else 0)
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        with draft.open("wb") as file, compressor.stream_writer(file, closefd=False) as stream:
            _pack_directory(root, "", _Counted(stream, limit_bytes), owner=0)
        draft.replace(fragment)
    finally:
        os.close(root)
        draft.unlink(missing_ok=True)


def write_tar(directory: Path, out: Writes, *, prefix: str, owner: int) -> None:
    """The tree as a whole tar archive below `prefix` ("app/"), each entry owned by that user and group. The same tree
    gives the same bytes. Raises BuildFailed as `pack_layer` does."""
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        top = tarfile.TarInfo(prefix.rstrip("/"))
        top.type, top.mode, top.uid, top.gid = tarfile.DIRTYPE, 0o755, owner, owner
        out.write(_header(top))
        _pack_directory(root, prefix, out, owner=owner)
        out.write(bytes(1024))
    finally:
        os.close(root)


def _is_large(directory: Path) -> bool:
    return any((directory / name).is_dir() for name in ("node_modules", ".skypanel"))


def _pack_directory(descriptor: int, prefix: str, out: Writes, *, owner: int) -> None:
    if prefix.count("/") > MAX_DEPTH:
        raise BuildFailed("buildpack_failed", f"Directories are nested more than {MAX_DEPTH} deep: flatten them.")
    for name in sorted(os.listdir(descriptor)):
        status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        path = f"{prefix}{name}"
        entry = tarfile.TarInfo(path)
        entry.mtime = int(status.st_mtime)
        entry.mode = stat.S_IMODE(status.st_mode) & 0o777
        entry.uid = entry.gid = owner
        if stat.S_ISLNK(status.st_mode):
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, os.readlink(name, dir_fd=descriptor), 0o777
            out.write(_header(entry))
        elif stat.S_ISDIR(status.st_mode):
            entry.type, entry.mode = tarfile.DIRTYPE, entry.mode | 0o700
            out.write(_header(entry))
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            try:
                _pack_directory(below, f"{path}/", out, owner=owner)
            finally:
                os.close(below)
        elif stat.S_ISREG(status.st_mode):
            _pack_file(descriptor, name, entry, out)


def _pack_file(descriptor: int, name: str, entry: tarfile.TarInfo, out: Writes) -> None:
    opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=descriptor)
    with os.fdopen(opened, "rb") as file:
        entry.size = remaining = os.fstat(opened).st_size
        out.write(_header(entry))
        while remaining:
            data = file.read(min(CHUNK, remaining))
            if not data:
                raise BuildFailed("buildpack_failed", f"{entry.name} changed while the slug was packed: deploy again.")
            out.write(data)
            remaining -= len(data)
        if entry.size % 512:
            out.write(bytes(512 - entry.size % 512))


def _header(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def write_archive(fragments: Sequence[tuple[str, Path]], draft: Path) -> tuple[str, int]:
    """`fragments`: (layer, file), bottom first. Returns the digest and the size in bytes."""
    index = json.dumps([[layer, path.stat().st_size] for layer, path in fragments]).encode()
    hashed, size = hashlib.sha256(), 0
    end = zstandard.ZstdCompressor(level=LEVEL).compress(bytes(1024))
    with draft.open("wb") as out:

        def put(data: bytes) -> None:
            nonlocal size
            hashed.update(data)
            out.write(data)
            size += len(data)

        put(struct.pack("<II", SKIPPABLE, len(index)) + index)
        for _, path in fragments:
            with path.open("rb") as fragment:
                while data := fragment.read(CHUNK):
                    put(data)
        put(end)
    return f"sha256:{hashed.hexdigest()}", size


def read_index(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Layer -> (offset, size) of its frame. Raises ValueError when the file is no slug of ours."""
    magic, length = struct.unpack("<II", file.read(8))
    if magic != SKIPPABLE or length > 1_000_000:
        raise ValueError("no slug")
    offset, found = 8 + length, {}
    for layer, size in json.loads(file.read(length)):
        found[layer] = (offset, size)
        offset += size
    return found


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


class _Range:
    """A part of a file as a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def entries(path: Path, layer: str) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """The entries of one layer, files with contents to be read at once. Raises ValueError when the archive lacks it."""
    with path.open("rb") as file:
        index = read_index(file)
        if layer not in index:
            raise ValueError(f"the slug has no layer {layer}")
        offset, size = index[layer]
        file.seek(offset)
        reader = zstandard.ZstdDecompressor().stream_reader(_Range(file, size), read_across_frames=True)  # type: ignore[arg-type]
        with tarfile.open(fileobj=reader, mode="r|", errorlevel=2) as archive:
            for entry in archive:
                yield entry, archive.extractfile(entry) if entry.isreg() else None
