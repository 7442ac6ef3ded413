"""Repositories that no git client would make, and hosts that say what no Git host says."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from git_http import GitHttpServer, git, write


def with_submodule(server: GitHttpServer, name: str, url: str, sha: str) -> None:
    work = server.work_tree(name)
    write(work, {".gitmodules": f'[submodule "lib"]\n\tpath = vendor/lib\n\turl = {url}\n'})
    git("add", ".gitmodules", cwd=work)
    git("update-index", "--add", "--cacheinfo", f"160000,{sha},vendor/lib", cwd=work)
    git("commit", "-q", "-m", "With a submodule", cwd=work)
    git("push", "-q", "-f", str(server.root / f"{name}.git"), "HEAD", cwd=work)


def hostile_tree(server: GitHttpServer, name: str, entries: bytes) -> None:
    """A commit whose tree no git client would make."""
    bare = server.root / f"{name}.git"
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=bare, input=b"/etc", capture_output=True, check=True
    )
    tree = raw_tree(server, name, entries.replace(b"BLOB", bytes.fromhex(blob.stdout.decode().strip())))
    commit_tree(server, name, tree)


def raw_tree(server: GitHttpServer, name: str, content: bytes) -> str:
    command = ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"]
    bare = server.root / f"{name}.git"
    return subprocess.run(command, cwd=bare, input=content, capture_output=True, check=True).stdout.decode().strip()


def commit_tree(server: GitHttpServer, name: str, tree: str) -> None:
    bare = server.root / f"{name}.git"
    sha = git("commit-tree", tree, "-m", "Hostile", cwd=bare)
    git("update-ref", "refs/heads/main", sha, cwd=bare)


def bomb(server: GitHttpServer, name: str, *, width: int = 10, depth: int = 8) -> None:
    """A few objects that unfold to `width ** depth` files."""
    bare = server.root / f"{name}.git"
    made = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=bare, input=b"boom", capture_output=True, check=True
    )
    below, mode = made.stdout.decode().strip(), b"100644"
    for _ in range(depth):
        entries = b"".join(b"%s %02d\0%s" % (mode, n, bytes.fromhex(below)) for n in range(width))
        below, mode = raw_tree(server, name, entries), b"40000"
    commit_tree(server, name, below)


@contextmanager
def saying(answers: Mapping[str, tuple[int, Mapping[str, str], bytes]]) -> Iterator[tuple[int, list[str]]]:
    """A host that answers paths (by their end) as told, 404 otherwise. Yields its port and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            path = self.path.split("?")[0]
            status, headers, body = next((a for end, a in answers.items() if path.endswith(end)), (404, {}, b""))
            self.send_response(status)
            for header in headers.items():
                self.send_header(*header)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # hung up on, in the middle of the flood
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1]), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
