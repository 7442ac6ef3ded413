"""A replica serves when every ingress node reaches it: visitors come through each of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

from skypanel.drivers.probe import Answer
from skypanel.drivers.probe_edges import ThroughEdges
from skypanel.edge.probes import ProbeServer
from skypanel.kit.secret import Secret

TOKEN = Secret("sesame")
Edge = tuple[str, int]


class Network:
    def __init__(self, *, cut: bool = False) -> None:
        self.cut = cut

    def join(self, network: str) -> None:
        if self.cut:
            raise OSError(f"not in {network}")

    def alive(self) -> bool:
        return True


class Replica(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving(server: HTTPServer) -> Iterator[Edge]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()


def edge(network: Network) -> HTTPServer:
    return ProbeServer("127.0.0.1", 0, token=TOKEN, networks=network)


def test_it_is_healthy_when_all_living_nodes_reach_it() -> None:
    second = Network()
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Replica)) as (address, port),
        serving(edge(Network())) as one, serving(edge(second)) as two,
    ):  # fmt: skip
        probe = ThroughEdges(lambda: [one, two], token=TOKEN)

        def ask() -> Answer:
            return probe.http(address, port, "/", host="x", timeout_s=2, headers={}, network="n")

        assert ask().status == 204
        assert probe.tcp(address, port, timeout_s=2, network="n").error is None
        second.cut = True
        assert {ask().error for _ in range(6)} == {"not in n"}
    probe._http.close()


def test_a_node_that_cannot_be_asked_is_not_counted() -> None:
    with (
        serving(ThreadingHTTPServer(("127.0.0.1", 0), Replica)) as (address, port),
        serving(edge(Network())) as one,
    ):  # fmt: skip
        probe = ThroughEdges(lambda: [("127.0.0.1", 1), one], token=TOKEN)
        assert probe.http(address, port, "/", host="x", timeout_s=2, headers={}, network="n").status == 204
        nobody = ThroughEdges(lambda: [("127.0.0.1", 1)], token=TOKEN)
        assert "no ingress node" in str(nobody.tcp(address, port, timeout_s=2, network="n").error)
    probe._http.close()
    nobody._http.close()
