"""A stub of the API on a real socket, and the command line run as its users run it; an engine that a test leads."""

import gc
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from engine_stand_in import StandIn, engine_stand_in

from skypanel.cli.main import run
from skypanel.manage.main import app


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Stub:
    """`answers[(method, path)]` is a list of (status, body); the last one is repeated. A str body is sent as it is."""

    url: str = ""
    answers: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=dict)
    seen: list[Request] = field(default_factory=list)

    def on(self, method: str, path: str, *answers: Any, status: int = 200) -> None:
        self.answers[method, path] = [(status, answer) for answer in answers]

    def problem(self, method: str, path: str, status: int, code: str, detail: str) -> None:
        body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
        self.answers[method, path] = [(status, body)]


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            made.seen.append(Request(self.command, self.path, dict(self.headers), json.loads(raw) if raw else None))
            waiting = made.answers.get((self.command, self.path.split("?")[0]), [(404, {"detail": f"no {self.path}"})])
            status, body = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            kind = "text/event-stream" if isinstance(body, str) and "data:" in body else "application/json"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler.handle_any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(
    stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("SKYPANEL_URL", stub.url)
    monkeypatch.setenv("SKYPANEL_TOKEN", "skp_test")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("SKYPANEL_ORG", raising=False)

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["skypanel", *arguments])
        code = 0
        try:
            run(app)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[StandIn]:
    with engine_stand_in(tmp_path) as engine:
        yield engine
    gc.collect()  # here, where its warnings are expected
