"""The command line and a copy of the platform that dies under a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from skypanel.cli.client import Api
from skypanel.cli.config import Config
from skypanel.cli.exits import CliError


@contextmanager
def answering(*statuses: int) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A router that answers with these, one after the other; what it was asked: method and Idempotency-Key."""
    asked: list[tuple[str, str | None]] = []
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.headers.get("Idempotency-Key")))
            self.send_response(left.pop(0))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_lost_answer_is_asked_for_again_with_the_same_key() -> None:
    with answering(502, 504, 200, 200) as (url, asked):
        api = Api(Config(url=url))
        assert api.post("/api/x") == {}
        assert api.post("/api/x") == {}
        api._http.close()
    keys = [key for _, key in asked]
    assert None not in keys
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_what_is_not_made_to_be_repeated_is_asked_once() -> None:
    with answering(502) as (url, asked):
        api = Api(Config(url=url))
        with pytest.raises(CliError, match="502"):
            api.request("PATCH", "/api/x", body={})
        api._http.close()
    assert asked == [("PATCH", None)]


def test_it_gives_up_and_says_so() -> None:
    with answering(*[502] * 4) as (url, asked):
        api = Api(Config(url=url))
        with pytest.raises(CliError, match="502"):
            api.get("/api/x")
        api._http.close()
    assert len(asked) == 4
