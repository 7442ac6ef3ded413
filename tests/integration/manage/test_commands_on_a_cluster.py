"""Commands that are for one machine say so on a cluster, and do nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from skypanel.manage.cluster.inside import is_cluster
from skypanel.settings import Settings


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """The data directory of one."""
    for name in ("cluster", "keys"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "keys" / "database.url").write_text("postgresql://skypanel@skypanel-postgres/skypanel\n")
    (tmp_path / "data" / "keys" / "master.keys").write_text("the first\n")
    return tmp_path / "data"


@pytest.mark.parametrize(
    "command", ["up", "demo", "doctor", "migrate", "backup TARGET", "restore SOURCE", "rotate-keys"]
)
def test_it_is_refused_with_where_to_read_on(command: str, cluster: Path, cli: Callable[..., object]) -> None:
    before = sorted(cluster.rglob("*"))
    done = cli(*command.split(), "--data-dir", str(cluster))
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith(f"`skypanel {command.split()[0]}` is for a platform on one machine")
    page = Path(__file__).parents[3] / "docs" / "operating" / "cluster.md"
    assert done.err.count("\n") == 1
    title = done.err.split('"')[1]
    assert f"\n## {title}\n" in page.read_text()
    assert sorted(cluster.rglob("*")) == before
    assert (cluster / "keys" / "master.keys").read_text() == "the first\n"


def test_containers_of_the_platform_are_on_no_machine(cluster: Path) -> None:
    assert is_cluster(Settings(data_dir=cluster))
    assert not is_cluster(Settings(data_dir=cluster, runtime="swarm"))
