"""Asks replicas for the control plane, which is not in their networks: its question, our connection.

`GET /probe?network=&address=&port=&path=&host=&timeout=` (no path: TCP) -> `{"status", "error", "refused"}`
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from skypanel.drivers import probe
from skypanel.edge.follow import Reaches
from skypanel.kit.secret import Secret

LONGEST_S = 60.0


class ProbeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, port: int, *, token: Secret, networks: Reaches) -> None:
        self.token, self.networks = token, networks
        super().__init__((address, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: ProbeServer
    timeout = LONGEST_S

    def do_GET(self) -> None:
        wanted = f"Bearer {self.server.token.reveal()}".encode()
        parts = urlsplit(self.path)
        if parts.path != "/probe" or not hmac.compare_digest(self.headers.get("Authorization", "").encode(), wanted):
            self.send_error(404)
            return
        try:
            answer = _ask({key: values[0] for key, values in parse_qs(parts.query).items()}, self.server.networks)
        except (KeyError, ValueError):
            self.send_error(400)
            return
        body = json.dumps({"status": answer.status, "error": answer.error, "refused": answer.refused}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: ARG002
        return


def _ask(query: dict[str, str], networks: Reaches) -> probe.Answer:
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
