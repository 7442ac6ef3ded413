"""Real mount namespaces and real users; each in a process of its own, since nothing leads back to root."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import skypanel
from skypanel.manage.confine import possible
from skypanel.manage.launch import code_paths

pytestmark = pytest.mark.root
USER = 64_903
SCRIPT = """
import json, os, sys
from pathlib import Path
from skypanel.manage.confine import View, confine
given = json.loads(sys.argv[1])
confine(View(**{name: [Path(p) for p in paths] for name, paths in given["view"].items()}), uid=%d, gid=%d)
exec(given["then"])
""".replace("%d", str(USER))


def confined(then: str, *, readable: list[Path] = [], writable: list[Path] = [], covered: list[Path] = []) -> str:  # noqa: B006
    view = {"readable": [*code_paths(), *readable], "writable": writable, "covered": covered}
    given = {"view": {name: [str(p) for p in paths] for name, paths in view.items()}, "then": then}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, json.dumps(given)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def closed_directory(tmp_path: Path) -> Path:
    """As `mktemp -d` makes it: nobody but root passes."""
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o700)
    for name in ("data/db", "data/run", "data/keys", "data/containers"):
        (directory / name).mkdir(parents=True)
    (directory / "data/keys/master.keys").write_text("key")
    (directory / "data/containers/secret").write_text("tenant")
    (directory / "other").write_text("not yours")
    for name in ("db", "run"):
        os.chown(directory / "data" / name, USER, USER)
    return directory


def test_this_machine_allows_it() -> None:
    assert possible()


def test_the_process_is_unprivileged_for_good(closed_directory: Path) -> None:
    text = "print(os.getresuid(), os.getresgid(), os.getgroups(), open('/proc/self/status').read())"
    out = confined(text, covered=[closed_directory / "data"])
    assert out.startswith(f"({USER}, {USER}, {USER}) ({USER}, {USER}, {USER}) []")
    assert "CapEff:\t0000000000000000" in out
    assert "CapPrm:\t0000000000000000" in out
    assert "NoNewPrivs:\t1" in out


def test_needed_parts_below_a_closed_directory_are_reached_and_the_rest_is_gone(closed_directory: Path) -> None:
    data = closed_directory / "data"
    then = f"""
data = Path({str(data)!r})
(data / "db/new").write_text("x")
print(sorted(p.name for p in data.iterdir()), (data / "keys/master.keys").read_text(), (data.parent / "other").exists())
for name in ("keys/x", "x"):
    try:
        (data / name).write_text("x")
    except OSError as error:
        print(error.strerror)
"""
    out = confined(then, readable=[data / "keys"], writable=[data / "db", data / "run"], covered=[data])
    assert out.splitlines() == ["['db', 'keys', 'run'] key False", "Read-only file system", "Read-only file system"]
    assert (data / "db/new").stat().st_uid == USER


def test_code_that_lies_below_a_closed_directory_is_imported(closed_directory: Path) -> None:
    package = closed_directory / "src" / "somebody"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("answer = 42")
    out = confined(
        f"sys.path.insert(0, {str(package.parent)!r}); import somebody; print(somebody.answer)",
        readable=[package.parent],
    )
    assert out == "42"


def test_nothing_of_it_is_seen_outside(closed_directory: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    confined("print(1)", covered=[closed_directory / "data"])
    assert Path("/proc/self/mountinfo").read_text() == before


def test_unreadable_code_is_named_with_the_remedy(closed_directory: Path) -> None:
    secret = closed_directory / "code"
    secret.mkdir(mode=0o700)
    view = {"readable": [str(p) for p in (*code_paths(), secret)]}
    done = subprocess.run(
        [sys.executable, "-P", "-c", SCRIPT, json.dumps({"view": view, "then": ""})],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"chmod -R go+rX {secret}" in done.stderr


def test_root_and_the_unprivileged_user_write_one_sqlite_database(closed_directory: Path) -> None:
    data = closed_directory / "data"
    file = data / "db" / "skypanel.db"
    file.touch(mode=0o600)
    os.chown(file, USER, USER)
    root = sqlite3.connect(file, isolation_level=None)
    root.execute("PRAGMA journal_mode=WAL")
    root.execute("CREATE TABLE t (x)")
    root.execute("INSERT INTO t VALUES (1)")
    then = f"""
import sqlite3
db = sqlite3.connect({str(file)!r}, isolation_level=None)
db.execute("INSERT INTO t VALUES (2)")
print(db.execute("SELECT sum(x) FROM t").fetchone()[0])
"""
    assert confined(then, writable=[data / "db"], covered=[data]) == "3"
    root.execute("INSERT INTO t VALUES (3)")
    assert root.execute("SELECT sum(x) FROM t").fetchone() == (6,)
    assert {p.stat().st_uid for p in (data / "db").iterdir()} == {USER}
    root.close()


def test_the_package_that_runs_is_part_of_what_the_server_sees() -> None:
    assert Path(str(skypanel.__file__)).resolve().parents[1] in [path.resolve() for path in code_paths()]
