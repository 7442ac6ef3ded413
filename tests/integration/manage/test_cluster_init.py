"""`skypanel cluster init` and `adopt` up to where containers would start: what they ask for, keep and refuse."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from engine_stand_in import StandIn, engine_stand_in

from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK
from skypanel.instance import Instance, instance_bytes
from skypanel.manage.cluster import adopt as made_by_adopt
from skypanel.manage.cluster import init as made_by_init
from skypanel.manage.cluster.adopt import adopt
from skypanel.manage.cluster.init import Options, init, prepare_ground
from skypanel.manage.cluster.inside import is_cluster
from skypanel.manage.preflight import CannotStart, holder_of
from skypanel.settings import Settings

# httpcore leaves a socket that could not be connected to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


class _Registry(BaseHTTPRequestHandler):
    """Of a plain kind: it is there, and keeps nothing."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Registry) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[StandIn]:
    """An engine that is a swarm of its own."""
    with engine_stand_in(tmp_path) as engine:
        engine.swarm |= {"LocalNodeState": "active", "ControlAvailable": True, "NodeID": "n1"}
        engine.known |= {
            "GET /nodes/n1": {"Spec": {"Labels": {}}, "Version": {"Index": 1}}, "POST /nodes/n1/update": {},
            "GET /networks": [{"Name": PLATFORM_NETWORK}],
            f"GET /networks/{PLATFORM_NETWORK}": {"IPAM": {"Config": [{"Subnet": "10.64.0.0/24"}]}},
        }  # fmt: skip
        yield engine
    gc.collect()  # here, where its warnings are expected


@pytest.fixture
def settings(manager: StandIn, registry: str, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", docker_socket=manager.socket, registry=registry, registry_insecure=True)


def test_an_image_that_is_nowhere_is_refused_with_the_command_that_makes_it(settings: Settings) -> None:
    with pytest.raises(CannotStart, match=r"cannot be had: pull access denied\. `skypanel cluster images`"):
        prepare_ground(settings, Options(), print)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Images are in the registry; what would run afterwards is told instead."""
    began: list[str] = []
    monkeypatch.setattr(made_by_init, "_publish_images", lambda swarm, settings, choices, say: choices)
    for step in ("ensure_database", "raise_platform"):
        monkeypatch.setattr(made_by_init, step, lambda *_, step=step: began.append(step))
    return began


def with_(settings: Settings, **changes: Any) -> Settings:
    """The same machine, with other settings in its environment."""
    kept = {name: getattr(settings, name) for name in ("data_dir", "docker_socket", "registry", "registry_insecure")}
    return Settings(**(kept | changes))


def test_init_with_a_setting_missing_that_it_was_given_is_refused_before_anything_is_done(
    settings: Settings, manager: StandIn, published: list[str]
) -> None:
    init(with_(settings, database_url="postgresql://u:sesame@db/x", stripe_secret_key="sk_1"), Options(), print)
    kept = "".join(path.read_text() for path in (settings.data_dir / "cluster").iterdir())
    assert "SKYPANEL_DATABASE_URL" in kept
    assert not any(value in kept for value in ("sesame", "sk_1"))
    published.clear()
    manager.done.clear()
    with pytest.raises(CannotStart) as refused:
        init(settings, Options(), print)
    assert "missing now: SKYPANEL_DATABASE_URL, SKYPANEL_STRIPE_SECRET_KEY." in str(refused.value)
    assert "--forget SKYPANEL_DATABASE_URL --forget SKYPANEL_STRIPE_SECRET_KEY" in str(refused.value)
    with pytest.raises(CannotStart, match=r"missing now: SKYPANEL_DATABASE_URL\."):
        init(with_(settings, database_url="", stripe_secret_key="sk_2"), Options(), print)
    assert (published, manager.done) == ([], [])


def test_what_is_forgotten_is_not_asked_for_again(settings: Settings, published: list[str]) -> None:
    init(with_(settings, http_port=80), Options(), print)
    init(settings, Options(forget=("SKYPANEL_HTTP_PORT",)), print)
    init(settings, Options(), print)
    assert published == ["ensure_database", "raise_platform"] * 3


def test_what_only_tunes_may_come_and_go_and_a_file_stands_for_its_value(
    settings: Settings, published: list[str], tmp_path: Path
) -> None:
    (tmp_path / "mail").write_text("smtp://mail")
    init(with_(settings, log_level="debug", mail_url="smtp://mail"), Options(), print)
    init(with_(settings, mail_url_file=tmp_path / "mail"), Options(), print)
    with pytest.raises(CannotStart, match="SKYPANEL_MAIL_URL"):
        init(settings, Options(), print)


def test_a_cluster_that_was_made_before_names_were_kept_is_not_refused(
    settings: Settings, published: list[str]
) -> None:
    init(with_(settings, https_port=443), Options(), print)
    (settings.data_dir / "cluster" / "settings-given.txt").unlink()
    init(settings, Options(), print)


@pytest.fixture
def one_machine(settings: Settings) -> Path:
    """A platform that was run from the same directory; its SQLite."""
    file = settings.data_dir / "db" / "skypanel.db"
    file.parent.mkdir(parents=True)
    file.touch()
    (settings.data_dir / "instance.json").write_bytes(instance_bytes(Instance("i", None, None, "10.210.0.0/20", 1)))
    return file


def test_sqlite_is_not_left_behind_for_another_database(
    settings: Settings, manager: StandIn, one_machine: Path
) -> None:
    with pytest.raises(CannotStart, match="run this without that setting") as refused:
        adopt(with_(settings, database_url="postgresql://u:sesame@db/x"), Options(), print)
    assert "sesame" not in str(refused.value)
    one_machine.rename(one_machine.with_name("elsewhere.db"))
    with pytest.raises(CannotStart, match="PostgreSQL: stop the platform, move its file"):
        adopt(with_(settings, database_url="sqlite:////elsewhere.db"), Options(), print)
    assert manager.done == []


def test_init_does_not_begin_anew_where_one_machine_has_its_database(
    settings: Settings, manager: StandIn, one_machine: Path
) -> None:
    with pytest.raises(CannotStart, match="cluster adopt"):
        init(settings, Options(), print)
    assert manager.done == []


def test_while_its_database_moves_nobody_starts_the_platform_and_a_failure_leaves_it_on_one_machine(
    settings: Settings, published: list[str], one_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = settings.data_dir / "keys" / "database.url"
    moving: list[int | None] = []

    def move(*_: object) -> None:
        moving.append(holder_of(settings.data_dir))
        raise CannotStart("The ledger is not in order.")

    monkeypatch.setattr(made_by_adopt, "down", lambda *_, **__: None)
    monkeypatch.setattr(made_by_adopt, "ensure_database", lambda *_: kept.write_text("postgresql://db"))
    monkeypatch.setattr(made_by_adopt, "move_database", move)
    monkeypatch.setattr(made_by_adopt, "raise_platform", lambda *_: published.append("raised"))
    with pytest.raises(CannotStart, match="`skypanel up` starts it on one machine again"):
        adopt(settings, Options(), print)
    assert moving == [os.getpid()]
    assert holder_of(settings.data_dir) is None
    assert (settings.data_dir / "cluster").is_dir()
    assert not is_cluster(settings)

    monkeypatch.setattr(made_by_adopt, "move_database", lambda *_: None)
    adopt(settings, Options(), print)
    assert is_cluster(settings)
    assert not one_machine.exists()
    monkeypatch.setattr(made_by_adopt, "ensure_database", lambda *_: move())
    with pytest.raises(CannotStart) as again:
        adopt(settings, Options(), print)
    assert "skypanel up" not in str(again.value)
    assert is_cluster(settings), "what runs as a cluster stays one"
