"""Apps and visitors that want more than their share, for the tests of limits and for what their neighbours notice."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from site_under_test import SKYPANEL, Site

SMALL = {
    "SKYPANEL_BUILD_TIME_LIMIT_S": "10",
    "SKYPANEL_BUILD_MEMORY_MB": "256",
    "SKYPANEL_BUILD_DISK_MB": "128",
    "SKYPANEL_BUILD_LOG_LIMIT_KB": "64",
    "SKYPANEL_HEALTH_DEADLINE_S": "8",
    "SKYPANEL_STOP_GRACE_S": "2",
    "SKYPANEL_MAX_APPS_PER_ORG": "100",
}

GREEDY = """
import http.server, os, subprocess

def disk():
    with open("/app/big", "wb") as file:
        try:
            for written in range(100_000):
                file.write(bytes(1 << 20))
        except OSError as error:
            return error.strerror if written <= 64 else f"{written} MB were written"
    return "unlimited"

def processes():
    started = []
    try:
        for _ in range(5000):
            started.append(subprocess.Popen(["sleep", "60"]))
    except OSError as error:
        return error.strerror
    finally:
        for each in started:
            each.kill()
    return "unlimited"

def output():
    line = "x" * 1000
    for _ in range(200_000):
        print(line)
    return "printed"

def memory():
    kept = []
    while True:
        kept.append(b"x" * (1 << 22))

def cpu():
    burn = "import time\\nuntil = time.monotonic() + 8\\nwhile time.monotonic() < until: pass"
    started = [subprocess.Popen(["python", "-c", burn]) for _ in range(8)]
    for each in started:
        each.wait()
    return "burned"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wishes = {"/disk": disk, "/processes": processes, "/output": output, "/memory": memory, "/cpu": cpu}
        answer = wishes.get(self.path, str)()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(answer).encode())

http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""

# Name -> what the build runs, the code and some words of the one sentence that it ends with.
BUILDS = {
    "a fork bomb": ("bomb() { bomb | bomb & }; bomb 2> errors; sleep 300", "build_processes", "processes at once"),
    "ten gigabytes of output": ("yes | head -c 10000000000", "build_output", "printed more than 64 KB"),
    "an endless build": ("sleep 600", "build_timeout", "took longer than 10 s"),
    "a memory hog": ("python -c \"b'x' * (4 << 30)\"", "build_memory", "more than its 256 MB of memory"),
    "a disk filler": ("dd if=/dev/zero of=big bs=1M count=20000", "build_disk", "more than its 128 MB of disk"),
    "a disk filler in the cache": (
        'dd if=/dev/zero of="$CACHE_DIR/big" bs=1M count=20000', "build_disk", "more than its 128 MB of disk",
    ),
    "a disk filler below a path too long for the system": (
        "for i in $(seq 40); do mkdir d$(printf '%0200d' 1); cd d*; done; "
        "dd if=/dev/zero of=big bs=1M count=20000",
        "build_disk", "more than its 128 MB of disk",
    ),
    "a flood of empty files": (
        "python -c \"import itertools\nfor n in itertools.count(): open(str(n), 'w').close()\"",
        "build_disk", "more than its 128 MB of disk",
    ),
    "a sparse file": ("truncate -s 9T big", "build_disk", "larger than 256 MB"),
    "a well of directories": (
        "python -c \"import os\nfor _ in range(2000): os.mkdir('d'); os.chdir('d')\"",
        "buildpack_failed", "nested more",
    ),
}  # fmt: skip


def tiny_plan(site: Site) -> str:
    """A plan with little memory and a disk that is filled quickly; the slug."""
    who = {"email": "operator@example.org", "password": "a long password of the operator"}
    env = {**site.env, "SKYPANEL_ADMIN_PASSWORD": who["password"]}
    command = [SKYPANEL, "admin", "create", "--email", who["email"], "--name", "Operator"]
    subprocess.run(command, env=env, check=True, capture_output=True)
    signed_in = site.http.post(f"{site.url}/api/auth/login", json=who).json()
    plan = {"slug": "tiny", "name": "Tiny", "cpu_millis": 500, "memory_mb": 128, "disk_mb": 64, "max_replicas": 1,
            "price_per_hour": "0.0001"}  # fmt: skip
    headers = {"Authorization": f"Bearer {signed_in['token']}"}
    answer = site.http.post(f"{site.url}/api/admin/paas/plans", json=plan, headers=headers)
    assert answer.status_code == 201, answer.text
    return "tiny"


@contextmanager
def slow_loris(port: int, host: str, *, connections: int) -> Iterator[int]:
    """That many connections to the router, each with a request whose headers never end, one more byte now and then.
    Yields how many could be opened."""
    opened: list[socket.socket] = []
    done = threading.Event()

    def trickle() -> None:
        while not done.wait(1):
            for connection in opened:
                with contextlib.suppress(OSError):
                    connection.send(b"a")

    thread = threading.Thread(target=trickle)
    try:
        for _ in range(connections):
            with contextlib.suppress(OSError):
                connection = socket.create_connection(("127.0.0.1", port), timeout=5)
                connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\nX-Slow: ".encode())
                opened.append(connection)
        thread.start()
        yield len(opened)
    finally:
        done.set()
        if thread.is_alive():
            thread.join()
        for connection in opened:
            connection.close()
