"""Repositories over smart HTTP on 127.0.0.1, as a real Git host serves them, for tests of every level.

with GitHttpServer(tmp_path) as server:
    server.make("shop", {"app.py": "…", "bin/run": Executable("…")})
    sha = server.commit("shop", {"app.py": "print(2)"})
    server.url("shop")
"""

from __future__ import annotations

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Executable:
    content: str


@dataclass(frozen=True)
class Link:
    target: str


Content = str | bytes | Executable | Link | None  # None removes the file


def git(*arguments: str, cwd: Path) -> str:
    env = {**os.environ, **IDENTITY}
    done = subprocess.run(["git", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout.strip()


def write(directory: Path, files: Mapping[str, Content]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or content is None:
            path.unlink()
        if isinstance(content, Link):
            path.symlink_to(content.target)
        elif isinstance(content, Executable):
            path.write_text(content.content)
            path.chmod(0o755)
        elif isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            path.write_text(content)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle is what some tests are about."""


class GitHttpServer:
    """`token`: when set, it is asked for as the password. `certificate` and key in one file: served over HTTPS.
    `requests` counts what was asked for, `authorizations` what was sent along."""

    def __init__(
        self, root: Path, *, token: str | None = None, certificate: Path | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.root = root
        self.token = token
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.redirect_to: str | None = None
        self.address = address
        self._http = _Http((address, 0), self._handler())
        self._scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def url(self, name: str) -> str:
        return f"{self._scheme}://{self.address}:{self.port}/{name}.git"

    def start(self) -> GitHttpServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> GitHttpServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def work_tree(self, name: str) -> Path:
        return self.root / f"{name}-work"

    def make(self, name: str, files: Mapping[str, Content] | Path, *, branch: str = "main") -> str:
        """A repository from files, or from a directory. Returns the first commit (empty when there are no files)."""
        bare, work = self.root / f"{name}.git", self.work_tree(name)
        self.root.mkdir(parents=True, exist_ok=True)
        git("init", "-q", "--bare", "-b", branch, str(bare), cwd=self.root)
        git("init", "-q", "-b", branch, str(work), cwd=self.root)
        if isinstance(files, Path):
            subprocess.run(["cp", "-a", f"{files}/.", str(work)], check=True)
            files = {}
        elif not files:
            return ""
        return self.commit(name, files, branch=branch, message="First commit")

    def commit(
        self, name: str, files: Mapping[str, Content], *, message: str = "Change", branch: str | None = None
    ) -> str:
        work = self.work_tree(name)
        if branch is not None and branch != git("symbolic-ref", "--short", "HEAD", cwd=work):
            git("checkout", "-q", "-B", branch, cwd=work)
        write(work, files)
        git("add", "-A", "-f", ".", cwd=work)
        git("commit", "-q", "--allow-empty", "-m", message, cwd=work)
        git("push", "-q", "-f", str(self.root / f"{name}.git"), "HEAD", cwd=work)
        return git("rev-parse", "HEAD", cwd=work)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's delayed acknowledgement

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._serve(b"")

            def do_POST(self) -> None:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    self._serve(self._chunks())
                else:
                    self._serve(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            def _chunks(self) -> bytes:
                data = b""
                while size := int(self.rfile.readline().strip(), 16):
                    data += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return data

            def _serve(self, body: bytes) -> None:
                path = self.path.partition("?")[0]
                server.requests.append(f"{self.command} {path}")
                if "Authorization" in self.headers:
                    server.authorizations.append(self.headers["Authorization"])
                if server.redirect_to is not None:
                    return self._answer(302, {"Location": server.redirect_to + self.path}, b"")
                if server.token is not None and not self._authorized():
                    return self._answer(401, {"WWW-Authenticate": 'Basic realm="git"'}, b"")
                env = _cgi_environment(self, server.root, len(body))
                done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
                head, _, content = done.stdout.partition(b"\r\n\r\n")
                headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
                status = int(headers.pop("Status", "200").split()[0])
                return self._answer(status, headers, content)

            def _authorized(self) -> bool:
                kind, _, pair = self.headers.get("Authorization", "").partition(" ")
                return kind == "Basic" and base64.b64decode(pair).decode().partition(":")[2] == server.token

            def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


def _cgi_environment(request: BaseHTTPRequestHandler, root: Path, size: int) -> dict[str, str]:
    """What `git http-backend` is told (RFC 3875)."""
    path, _, query = request.path.partition("?")
    return {
        "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": request.command,
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": request.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(size),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""), "GIT_CONFIG_GLOBAL": "/dev/null",
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
    }  # fmt: skip
