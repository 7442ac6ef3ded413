"""Serves a directory on $PORT. Copied into static sites, where the machine's Python runs it: standard library only."""

from __future__ import annotations

import functools
import http.server
import os
import pathlib
import signal
import socket
import sys
import urllib.parse
from typing import Any

HIDDEN = {"Procfile", "static.json", "app.json"}


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "static"
    sys_version = ""
    fallback = False
    timeout = 75
    extensions_map = {
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript", ".mjs": "text/javascript", ".json": "application/json", ".svg": "image/svg+xml",
        ".wasm": "application/wasm", ".webp": "image/webp", ".avif": "image/avif", ".woff2": "font/woff2",
        ".css": "text/css", ".html": "text/html; charset=utf-8", ".txt": "text/plain; charset=utf-8",
        ".xml": "application/xml", ".map": "application/json", ".webmanifest": "application/manifest+json",
    }  # fmt: skip

    def send_head(self) -> Any:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        parts = [part for part in path.split("/") if part]
        if any(part.startswith(".") and part != ".well-known" for part in parts) or (parts[:1] and parts[0] in HIDDEN):
            return self.send_error(404)
        local = pathlib.Path(self.translate_path(self.path))
        root = pathlib.Path(self.directory).resolve()
        if not local.resolve().is_relative_to(root):
            return self.send_error(404)
        if not local.exists():
            if local.with_name(local.name + ".html").is_file():
                self.path = urllib.parse.quote(path.rstrip("/") + ".html")
            elif self.fallback and "." not in local.name:
                self.path = "/index.html"
        return super().send_head()

    def list_directory(self, path: Any) -> None:  # noqa: ARG002 - the base class calls it so
        return self.send_error(404)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        page = pathlib.Path(self.directory) / "404.html"
        if code != 404 or not page.is_file():
            return super().send_error(code, message, explain)
        content = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        return None

    def end_headers(self) -> None:
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True
    address_family = socket.AF_INET


def main() -> None:
    directory = next((argument for argument in sys.argv[1:] if not argument.startswith("--")), ".")
    Handler.fallback = "--fallback" in sys.argv
    handler = functools.partial(Handler, directory=str(pathlib.Path(directory).resolve()))
    server = Server(("0.0.0.0", int(os.environ.get("PORT", "5000"))), handler)  # noqa: S104
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"Serving {directory} on port {server.server_port}", flush=True)
    server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    main()
