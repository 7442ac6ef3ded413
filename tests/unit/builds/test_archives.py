from __future__ import annotations

import io
import os
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import slugignore
from skypanel.drivers.builder.sandbox.layout import Layout, read_beneath, remove_tree
from skypanel.drivers.builder.sandbox.pack import SKIPPABLE, digest_of, pack_layer, write_archive
from skypanel.drivers.builder.sandbox.unpack import UnsafeArchive, unpack_layer


def make(directory: Path) -> Path:
    (directory / "d" / ("n" * 120)).mkdir(parents=True)
    (directory / "d" / ("n" * 120) / "ünïcode.txt").write_text("x" * 1000)
    (directory / "run").write_text("#!/bin/sh\n")
    (directory / "run").chmod(0o4755)
    (directory / "link").symlink_to("/etc/passwd")
    (directory / "empty").mkdir()
    os.mkfifo(directory / "pipe")
    return directory


def test_a_slug_unpacks_with_tar_and_zstd_and_upper_layers_win(tmp_path: Path) -> None:
    for name, text in (("deps", "below"), ("src", "above")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "both").write_text(text)
        (tmp_path / name / name).write_text(name)
        pack_layer(tmp_path / name, tmp_path / f"{name}.tar.zst")
    draft = tmp_path / "slug.tar.zst"
    digest, size = write_archive([("a/deps", tmp_path / "deps.tar.zst"), ("a/src", tmp_path / "src.tar.zst")], draft)
    out = tmp_path / "out"
    out.mkdir()

    subprocess.run(["tar", "--zstd", "-xf", str(draft), "-C", str(out)], check=True)

    assert {p.name: p.read_text() for p in out.iterdir()} == {"both": "above", "deps": "deps", "src": "src"}
    assert digest == digest_of(draft)
    assert size == draft.stat().st_size


def test_a_layer_comes_back_as_it_was_without_pipes_and_set_id_bits(tmp_path: Path) -> None:
    source = make(tmp_path / "src")
    pack_layer(source, tmp_path / "f")
    write_archive([("a/src", tmp_path / "f")], tmp_path / "slug")

    unpack_layer(tmp_path / "slug", "a/src", tmp_path / "back", uid=os.getuid())

    back = tmp_path / "back"
    assert sorted(p.name for p in back.iterdir()) == ["d", "empty", "link", "run"]
    assert (back / "run").stat().st_mode & 0o7777 == 0o755
    assert str((back / "link").readlink()) == "/etc/passwd"
    assert (back / "d" / ("n" * 120) / "ünïcode.txt").read_text() == "x" * 1000
    assert int((back / "run").stat().st_mtime) == int((source / "run").stat().st_mtime)


def crafted(tmp_path: Path, *entries: tuple[str, bytes, str]) -> Path:
    """A slug with one layer made of (name, type, link target)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, kind, target in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    frame = zstandard.compress(data.getvalue())
    index = f'[["a/x", {len(frame)}]]'.encode()
    path = tmp_path / "evil"
    path.write_bytes(struct.pack("<II", SKIPPABLE, len(index)) + index + frame)
    return path


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", tarfile.REGTYPE, "")],
        [("/tmp/out", tarfile.REGTYPE, "")],
        [("a", tarfile.SYMTYPE, "/tmp"), ("a/out", tarfile.REGTYPE, "")],
        [("a", tarfile.SYMTYPE, "/etc/passwd"), ("a", tarfile.REGTYPE, "")],
        [("dev", tarfile.CHRTYPE, "")],
        [("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [("fifo", tarfile.FIFOTYPE, "")],
    ],
)
def test_an_archive_cannot_write_outside_or_make_devices(tmp_path: Path, entries: list[tuple[str, bytes, str]]) -> None:
    archive = crafted(tmp_path, *entries)

    with pytest.raises(UnsafeArchive):
        unpack_layer(archive, "a/x", tmp_path / "to", uid=os.getuid())

    assert not (tmp_path / "to").exists()
    assert not Path("/tmp/out").exists()


def test_files_of_a_tenant_are_read_without_following_links(tmp_path: Path) -> None:
    (tmp_path / "Procfile").symlink_to("/etc/passwd")
    (tmp_path / "etc").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "plain").write_text("x")

    assert read_beneath(tmp_path, "Procfile") is None
    assert read_beneath(tmp_path, "etc/passwd") is None
    assert read_beneath(tmp_path, "fifo") is None
    assert read_beneath(tmp_path, "plain") == b"x"


def test_removing_a_tree_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep" / "file").write_text("x")
    (tmp_path / "gone").mkdir(mode=0o700)
    (tmp_path / "gone" / "link").symlink_to(tmp_path / "keep")

    remove_tree(tmp_path / "gone")

    assert not (tmp_path / "gone").exists()
    assert (tmp_path / "keep" / "file").exists()


def deep(directory: Path, levels: int, name: str = "d") -> None:
    """Deeper than a path can say: made step by step."""
    current = os.open(directory, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=current)
        following = os.open(name, os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = following
    with os.fdopen(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=current), "wb") as file:
        file.write(bytes(1 << 20))
    os.close(current)


def test_a_tree_of_any_depth_is_removed(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    deep(tmp_path / "gone", 3000)

    remove_tree(tmp_path / "gone")

    assert not (tmp_path / "gone").exists()


def test_a_tree_that_is_too_deep_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    deep(tmp_path / "app", 1500)
    try:
        with pytest.raises(BuildFailed, match="nested more than"):
            pack_layer(tmp_path / "app", tmp_path / "app.tar.zst")
    finally:
        remove_tree(tmp_path / "app")


def test_a_file_that_only_claims_to_be_large_is_not_packed_for_hours(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    with (tmp_path / "app" / "sparse").open("wb") as file:
        file.truncate(1 << 40)

    with pytest.raises(BuildFailed, match="larger than 8 MB") as failed:
        pack_layer(tmp_path / "app", tmp_path / "app.tar.zst", limit_bytes=8 << 20)

    assert failed.value.code == "build_disk"
    assert not list(tmp_path.glob("*.tar.zst*"))


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "a b"])
def test_ids_that_are_no_file_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        Layout(tmp_path).build(name)


def test_slugignore_leaves_out_what_its_globs_name() -> None:
    paths = ["a.psd", "d/b.psd", "test/x.py", "lib/test/y.py", "doc/deep/z.md", "app.py"]

    assert slugignore.ignored("# comment\n*.psd\n/test\ndoc/**/*.md\n", paths) == {
        "a.psd",
        "d/b.psd",
        "test",
        "doc/deep/z.md",
    }
