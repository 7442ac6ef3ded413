"""What the control plane asks an ingress node.

`GET /probe?network=&address=&port=&path=&host=&timeout=` (no path: TCP) -> `{"status", "error", "refused"}`: a replica,
which it shares no network with: its question, our connection.
`POST /join?network=` -> 201, or 200 when this node was in that network already, 503 while it cannot be.
`GET /access?generation=&offset=`: the router's access log, see `drivers/edge_access.py`.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import json
import logging
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from skypanel.drivers import probe
from skypanel.drivers.edge_access import MISSED, NEXT, START, Place
from skypanel.edge.access import AccessLog
from skypanel.edge.follow import Reaches
from skypanel.kit.secret import Secret

log = logging.getLogger(__name__)
LONGEST_S = 60.0


class ProbeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, port: int, *, token: Secret, networks: Reaches, access: AccessLog) -> None:
        self.token, self.networks, self.access = token, networks, access
        super().__init__((address, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: ProbeServer
    timeout = LONGEST_S

    def do_GET(self) -> None:
        self._answer({"/probe": self._probe, "/access": self._access})

    def do_POST(self) -> None:
        self._answer({"/join": self._join})

    def _answer(self, answers: Mapping[str, Callable[[Mapping[str, str]], None]]) -> None:
        wanted = f"Bearer {self.server.token.reveal()}".encode()
        parts = urlsplit(self.path)
        known = answers.get(parts.path)
        if known is None or not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted):
            self.send_error(404)
            return
        try:
            known({key: values[0] for key, values in parse_qs(parts.query).items()})
        except (KeyError, ValueError):
            self.send_error(400)

    def _probe(self, query: Mapping[str, str]) -> None:
        answer = _ask(query, self.server.networks)
        body = json.dumps({"status": answer.status, "error": answer.error, "refused": answer.refused}).encode()
        self._send(200, {"Content-Type": "application/json"}, body)

    def _join(self, query: Mapping[str, str]) -> None:
        try:
            joined = self.server.networks.join(query["network"])
        except OSError as error:
            log.warning("%s", error)
            self.send_error(503)
            return
        self._send(201 if joined else 200, {}, b"")

    def _access(self, query: Mapping[str, str]) -> None:
        asked = Place.parse(f"{query['generation']}:{query['offset']}") if query else None
        try:
            piece = self.server.access.read(asked)
        except OSError as error:
            log.warning("the access log cannot be read: %s", error)
            self.send_error(503)
            return
        if piece is None:
            self._send(204, {}, b"")
            return
        headers = {"Content-Type": "application/x-ndjson", START: str(piece.start), NEXT: str(piece.next)}
        self._send(200, headers | ({MISSED: "1"} if piece.missed else {}), piece.lines)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # whoever asked has gone
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
        return


def _ask(query: Mapping[str, str], networks: Reaches) -> probe.Answer:
    address, port = str(ipaddress.ip_address(query["address"])), int(query["port"])
    timeout_s = min(LONGEST_S, float(query["timeout"]))
    try:
        networks.join(query["network"])
    except OSError as error:
        return probe.Answer(error=str(error))
    if "path" not in query:
        return probe.ask_tcp(address, port, timeout_s=timeout_s)
    # The forwarded protocol keeps apps that redirect to HTTPS from answering with a redirect loop.
    headers = {"X-Forwarded-Proto": "https"}
    return probe.ask_http(address, port, query["path"], host=query["host"], timeout_s=timeout_s, headers=headers)
