"""`skypanel cluster init` and `adopt` up to where containers would start: what they ask for, keep and refuse."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from engine_stand_in import StandIn, engine_stand_in

from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK
from skypanel.manage.cluster.init import Options, prepare_ground
from skypanel.manage.preflight import CannotStart
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
