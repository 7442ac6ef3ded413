"""What a repository or a build leaves for the platform to pack, measure, read and unpack. More of it in
tests/unit/builds/test_archives.py and tests/integration/builder/test_sandbox.py."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import zstandard

from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.sandbox import caches, slugignore
from skypanel.drivers.builder.sandbox.caches import CacheSettings
from skypanel.drivers.builder.sandbox.layout import Layout
from skypanel.drivers.builder.sandbox.pack import SKIPPABLE, pack_layer
from skypanel.drivers.builder.sandbox.tree import SourceTree
from skypanel.drivers.builder.sandbox.unpack import UnsafeArchive, unpack_layer
from skypanel.drivers.source.port import TreeEntry
from skypanel.drivers.usage import size_of


def slug(path: Path, *members: tuple[str, bytes, str, int]) -> Path:
    """One layer made of (name, type, link's target, mode)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, kind, target, mode in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = kind, target, mode
            archive.addfile(entry)
    frame = zstandard.compress(data.getvalue())
    index = f'[["a/x", {len(frame)}]]'.encode()
    path.write_bytes(struct.pack("<II", SKIPPABLE, len(index)) + index + frame)
    return path


FILE, LINK, HARD, DIRECTORY = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
ESCAPES = {
    "above": [("../out", FILE, "", 0o644)],
    "above, further down": [("a", DIRECTORY, "", 0o755), ("a/../../out", FILE, "", 0o644)],
    "absolute": [("{aim}/out", FILE, "", 0o644)],
    "through a link": [("a", LINK, "{aim}", 0o777), ("a/out", FILE, "", 0o644)],
    "through a link to above": [("a", LINK, "..", 0o777), ("a/out", FILE, "", 0o644)],
    "a directory through a link": [("a", LINK, "{aim}", 0o777), ("a/b", DIRECTORY, "", 0o755)],
    "a link through a link": [("a", LINK, "{aim}", 0o777), ("a/out", LINK, "/etc", 0o777)],
    "over a link": [("a", LINK, "{aim}/out", 0o777), ("a", FILE, "", 0o644)],
    "a hard link": [("a", HARD, "{aim}/kept", 0o644)],
    "a hard link to a link": [("a", LINK, "{aim}/kept", 0o777), ("b", HARD, "a", 0o644)],
    "a character device": [("a", tarfile.CHRTYPE, "", 0o666)],
    "a block device": [("a", tarfile.BLKTYPE, "", 0o666)],
    "a pipe": [("a", tarfile.FIFOTYPE, "", 0o666)],
    "twice": [("a", FILE, "", 0o644), ("a", FILE, "", 0o644)],
    "a directory over a link": [("a", LINK, "{aim}", 0o777), ("a", DIRECTORY, "", 0o755)],
}


@pytest.mark.parametrize("name", ESCAPES)
def test_no_entry_of_an_archive_leads_out_of_its_directory(tmp_path: Path, name: str) -> None:
    aim = tmp_path / "aim"
    aim.mkdir()
    (aim / "kept").write_text("kept")
    members = [(n.format(aim=aim), kind, target.format(aim=aim), mode) for n, kind, target, mode in ESCAPES[name]]
    try:
        unpack_layer(slug(tmp_path / "evil", *members), "a/x", tmp_path / "layers" / "to", uid=os.getuid())
    except UnsafeArchive:
        assert not (tmp_path / "layers" / "to").exists()
    else:
        pytest.fail("it was unpacked")
    assert [path.name for path in aim.iterdir()] == ["kept"]
    assert (aim / "kept").stat().st_nlink == 1
    assert sorted(path.name for path in tmp_path.iterdir()) in (["aim", "evil"], ["aim", "evil", "layers"])


def test_set_id_bits_are_gone_after_unpacking_and_after_packing(tmp_path: Path) -> None:
    archive = slug(tmp_path / "evil", ("d", DIRECTORY, "", 0o7777), ("d/run", FILE, "", 0o7755))
    (tmp_path / "layers").mkdir()
    unpack_layer(archive, "a/x", tmp_path / "layers" / "to", uid=os.getuid())
    modes = [path.stat().st_mode & 0o7000 for path in (tmp_path / "layers" / "to").rglob("*")]
    assert modes == [0, 0]
    (tmp_path / "app").mkdir()
    for mode in (0o4755, 0o2755, 0o1755):
        (tmp_path / "app" / f"{mode}").write_text("x")
        (tmp_path / "app" / f"{mode}").chmod(mode)
    pack_layer(tmp_path / "app", tmp_path / "packed")
    with zstandard.open(tmp_path / "packed", "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as packed:
        assert {entry.mode & 0o7000 for entry in packed} == {0}


def test_a_link_that_is_put_in_the_place_of_a_cache_leads_nowhere(tmp_path: Path) -> None:
    layout, aim = Layout(tmp_path / "data"), tmp_path / "aim"
    aim.mkdir()
    (aim / "kept").write_text("kept")
    (tmp_path / "data" / "cache").mkdir(parents=True)
    layout.cache("app").symlink_to(aim)
    settings = CacheSettings(max_bytes=1)
    opened = caches.open_cache(layout, "app", uid=os.getuid(), work=tmp_path, settings=settings, wanted=True)
    assert not opened.is_symlink()
    (opened / "inner").symlink_to(aim)
    caches.trim(layout, "app", settings)
    caches.retain(layout, settings, now=lambda: 10**12)
    assert (aim / "kept").read_text() == "kept"


def test_millions_of_empty_files_are_no_nothing(tmp_path: Path) -> None:
    """They take no block of the disk, but one of the machine's inodes each."""
    for number in range(1000):
        (tmp_path / f"{number}").touch()
    assert size_of(tmp_path) >= 1000 * 4096
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):  # deeper than a path can say: counted by another way
        os.mkdir("d" * 9, dir_fd=deep)
        below = os.open("d" * 9, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    try:
        assert size_of(tmp_path) >= 2200 * 4096
    finally:
        subprocess.run(["rm", "-rf", "--", tmp_path / ("d" * 9)], check=True)


@pytest.mark.parametrize(
    ("pattern", "hit", "miss"),
    [
        ("../*", [], ["../x", "x"]), ("/etc/passwd", ["etc/passwd"], ["x/etc/passwd"]), ("/", [], ["a"]),
        ("..", [], ["a"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["xx", "a/xx"]), ("a/**/b/*.c", ["a/b/x.c", "a/q/r/b/x.c"], ["a/q/b.c"]),
        ("a*b?c", ["aXbYc", "d/abbbc"], ["abc"]), ("[a]", ["[a]"], ["a"]), ("(a+)+$", ["(a+)+$"], ["aaa"]),
    ],
)  # fmt: skip
def test_a_pattern_of_slugignore_means_files_of_the_repository_only(
    pattern: str, hit: list[str], miss: list[str]
) -> None:
    found = slugignore.ignored(pattern, hit + [path for path in miss if not path.startswith("..")])
    assert found == set(hit)


def test_a_list_of_patterns_has_an_end() -> None:
    with pytest.raises(BuildFailed, match="more than 500 patterns"):
        slugignore.ignored("\n".join(f"*{n}" for n in range(501)), ["a"])


@pytest.mark.parametrize("name", ["package.json", "pyproject.toml"])
def test_a_file_nested_without_end_is_one_clear_sentence(name: str) -> None:
    content = (b"[" if name.endswith("json") else b"a = ") + b"[" * 200_000
    tree = SourceTree([TreeEntry(name, "100644", "1" * 40, len(content))], lambda _: content)
    with pytest.raises(BuildFailed) as failed:
        tree.json(name) if name.endswith("json") else tree.toml(name)
    assert failed.value.code == "dependency_failed"
    assert "\n" not in str(failed.value)


# Each takes hours where something looks back at what it has seen; the worker would stand still for all tenants.
ENDLESS = {
    "a Procfile": "from skypanel.drivers.builder.procfile import parse as f; import contextlib\n"
    "with contextlib.suppress(Exception): f('web: x' + ' ' * n + 'x')",
    "a Procfile of blanks": "from skypanel.drivers.builder.procfile import parse as f; f('web: y\\n' + ' ' * n + 'x')",
    "submodules": "from skypanel.drivers.source.submodules import parse_gitmodules as f; f('url = x' + ' ' * n + 'x')",
    "stars": "from skypanel.drivers.builder.sandbox.slugignore import ignored as f; f('*a' * 20 + '*b', ['a' * 250])",
    "double stars": (
        "from skypanel.drivers.builder.sandbox.slugignore import ignored as f; "
        "f('**/a/' * 20 + 'b', ['a/' * 400 + 'c'])"
    ),
    "requirements of line ends": (
        "from skypanel.drivers.builder.sandbox import python as p; t = chr(10) * n; p._LOCAL.search(t); "
        "p._REFERENCE.findall(t)"
    ),
    "an app of annotations": (
        "from skypanel.drivers.builder.sandbox.python import default_processes as f; "
        "from skypanel.drivers.builder.sandbox.tree import SourceTree; "
        "from skypanel.drivers.source.port import TreeEntry as E; t = b'a:' + b'a:\\n' * (n // 3); "
        "names = ['app.py', 'requirements.txt', 'main.py']; "
        "f(SourceTree([E(x, '100644', x, len(t)) for x in names], lambda entry: t))"
    ),
    "a range of versions": (
        "from skypanel.drivers.builder.sandbox import semver; import contextlib\n"
        "with contextlib.suppress(ValueError): semver.ranges('>=' + ' ' * n + '!')"
    ),
    "a failing build's last words": (
        "from skypanel.drivers.builder.sandbox.run import BuildLog; "
        "from skypanel.drivers.builder.sandbox.failures import summarize, last_line, raised\n"
        "log = BuildLog(lambda _: None, [])\n"
        "for word in ('ERR_PNPM_FETCH_404', 'Because a', 'a.', 'npm error 404 ', '/', ' '):\n"
        "    for _ in range(70): log.output((word * (65_536 // len(word))).encode())\n"
        "summarize(list(log.last)); last_line(list(log.last)); raised(list(log.last))"
    ),
    "a line of the app": (
        "from skypanel.logs.levels import guess\n"
        "for word in ('[', 'level=', ' ', 'a.', 'Error', '{', '{\"a\":', chr(27), 'ERROR ', '\"', ':', '2026 '):\n"
        "    guess(word * (65_536 // len(word)))"
    ),
    "a .env file": (
        "from skypanel.apps.dotenv_files import parse as f; import contextlib\n"
        "for text in ('A=' + ' ' * 60_000 + 'x', 'A=\"' + chr(92) * 60_000, 'A' * 60_000, '=' * 60_000):\n"
        "    with contextlib.suppress(Exception): f(text)"
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_nothing_that_a_tenant_writes_is_looked_at_again_and_again(name: str) -> None:
    """A megabyte each; hours of work where the work grows with its square. The kernel ends it after a minute of CPU."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))

    done = subprocess.run(
        [sys.executable, "-c", f"n = 1_000_000\n{ENDLESS[name]}"], preexec_fn=limited, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-500:] or f"ended by the signal {-done.returncode}"
