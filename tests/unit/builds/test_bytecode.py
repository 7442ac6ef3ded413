from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from skypanel.drivers.builder.sandbox import bytecode


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def installed(site: Path, files: dict[str, str], *, name: str = "shop") -> Path:
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    info = site / f"{name}-1.dist-info"
    info.mkdir(exist_ok=True)
    lines = [f"{path},sha256={hashlib.sha256(text.encode()).hexdigest()},{len(text)}\n" for path, text in files.items()]
    (info / "RECORD").write_text("".join([*lines, "../../../bin/shop,,\n"]))
    return site


def compile_all(site: Path, cache: Path) -> None:
    subprocess.run([sys.executable, "-I", "-S", bytecode.__file__, site, cache], check=True, timeout=60)


def value_of(site: Path, module: str) -> str:
    """What an import gives, by a Python that writes no bytecode itself."""
    script = f"import sys; sys.path.insert(0, {str(site)!r}); import {module}; print({module}.VALUE, {module}.where())"
    done = subprocess.run([sys.executable, "-B", "-c", script], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


MODULE = 'VALUE = "{}"\ndef where(): return where.__code__.co_filename\n'


def test_every_module_of_a_package_gets_bytecode_that_python_takes(tmp_path: Path, cache: Path) -> None:
    site = installed(tmp_path / "site", {"shop/__init__.py": MODULE.format("first"), "shop/data.txt": "x"})

    compile_all(site, cache)

    source = site / "shop/__init__.py"
    assert Path(cache_from_source(str(source))).is_file()
    status = source.stat()
    source.write_text(MODULE.format("other"))  # as long as before, and of the same time: only the bytecode is read
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert value_of(site, "shop") == f"first {source}"


def test_the_next_installation_takes_what_is_kept_and_calls_it_by_its_own_place(tmp_path: Path, cache: Path) -> None:
    compile_all(installed(tmp_path / "one", {"shop.py": MODULE.format("first")}), cache)
    again = installed(tmp_path / "two", {"shop.py": MODULE.format("first")})
    (again / "shop.py").write_text(MODULE.format("other"))  # its RECORD says that it is the first

    compile_all(again, cache)

    assert value_of(again, "shop") == f"first {again / 'shop.py'}"


def test_other_files_are_another_package(tmp_path: Path, cache: Path) -> None:
    compile_all(installed(tmp_path / "one", {"shop.py": MODULE.format("first")}), cache)
    again = installed(tmp_path / "two", {"shop.py": MODULE.format("newer")})

    compile_all(again, cache)

    assert value_of(again, "shop").startswith("newer ")
    assert len(list(cache.iterdir())) == 1, "what the newest build did not use is gone"


def test_a_source_that_changes_later_wins_over_its_bytecode(tmp_path: Path, cache: Path) -> None:
    site = installed(tmp_path / "site", {"shop.py": MODULE.format("first")})
    compile_all(site, cache)

    (site / "shop.py").write_text(MODULE.format("edited by hand"))

    assert value_of(site, "shop").startswith("edited by hand")


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"\xe9\x00\x00\x00\x00", b"i\x01\x00\x00\x00"])
def test_a_damaged_cache_is_compiled_again(tmp_path: Path, cache: Path, damage: bytes) -> None:
    site = installed(tmp_path / "site", {"shop.py": MODULE.format("first")})
    compile_all(site, cache)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage)
    Path(cache_from_source(str(site / "shop.py"))).unlink()

    compile_all(site, cache)

    assert kept.read_bytes() == whole
    assert Path(cache_from_source(str(site / "shop.py"))).is_file()


def test_files_that_do_not_compile_leave_the_others_theirs(tmp_path: Path, cache: Path) -> None:
    site = installed(tmp_path / "site", {"bad.py": "{{ name }} = (", "nul.py": "x\0", "good.py": MODULE.format("good")})
    (site / "empty-1.dist-info").mkdir()

    compile_all(site, cache)

    assert Path(cache_from_source(str(site / "good.py"))).is_file()
    assert not Path(cache_from_source(str(site / "bad.py"))).exists()


def test_nothing_outside_of_the_packages_is_touched(tmp_path: Path, cache: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("VALUE = 1\n")
    site = installed(tmp_path / "site", {"shop.py": MODULE.format("first")})
    with (site / "shop-1.dist-info" / "RECORD").open("a") as record:
        record.write(f"../outside.py,,\n{outside},,\n")

    compile_all(site, cache)

    assert not Path(cache_from_source(str(outside))).exists()
