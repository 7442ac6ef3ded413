"""A real platform for tests: `skypanel up` in a directory and on ports of its own, and a client that speaks its API."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
SERVER = "skypanel.server:create_app"
SKYPANEL = str(Path(sys.executable).with_name("skypanel"))
SETTLED = ("running", "failed", "cancelled", "superseded")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def eventually(look: Callable[[], Any], *, within: float = 30, every: float = 0.05, what: str = "it") -> Any:
    """The first true answer of `look`; fails with the last one."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within} s; last seen: {found!r}")
        time.sleep(every)


@dataclass
class Client:
    """One user in one organization."""

    site: Site
    token: str
    organization_id: str

    def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", "X-Organization-Id": self.organization_id}
        answer = self.site.http.request(
            method, f"{self.site.url}/api{path}", json=body, headers=headers | options.pop("headers", {}), **options
        )
        if expect is None:
            assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        else:
            assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.json() if is_json else answer.text

    def create(self, name: str, git_url: str, **more: Any) -> dict[str, Any]:
        body = {"name": name, "git_url": git_url, "branch": "main", "plan": "pro", **more}
        return dict(self.call("POST", "/paas/apps", body)["app"])

    def app(self, slug: str) -> dict[str, Any]:
        return dict(self.call("GET", f"/paas/apps/{slug}")["app"])

    def deployment(self, slug: str, version: int) -> dict[str, Any]:
        return dict(self.call("GET", f"/paas/apps/{slug}/deployments/{version}")["deployment"])

    def deploy(self, slug: str) -> int:
        return int(self.call("POST", f"/paas/apps/{slug}/deploy")["deployment"]["version"])

    def settled(self, slug: str, version: int, *, within: float = 180) -> dict[str, Any]:
        """The deployment in its final state."""

        def look() -> dict[str, Any] | None:
            found = self.deployment(slug, version)
            return found if found["status"] in SETTLED else None

        return dict(eventually(look, within=within, what=f"the end of {slug} v{version}"))

    def deployed(self, slug: str, *, within: float = 180) -> dict[str, Any]:
        """Deploys and waits; fails with the build log when it does not run."""
        version = self.deploy(slug)
        return self.ran(slug, version, within=within)

    def ran(self, slug: str, version: int, *, within: float = 180) -> dict[str, Any]:
        found = self.settled(slug, version, within=within)
        assert found["status"] in ("running", "superseded"), f"{found}\n{self.build_log(slug, version)}"
        return found

    def job(self, job_id: str, *, within: float = 90) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.call("GET", f"/paas/jobs/{job_id}")["job"]
            return dict(found) if found["state"] in ("done", "failed", "cancelled") else None

        return dict(eventually(look, within=within, what=f"the end of job {job_id}"))

    def build_log(self, slug: str, version: int) -> str:
        page = self.call("GET", f"/paas/apps/{slug}/deployments/{version}/logs?limit=200")
        return "\n".join(line["message"] for line in page["items"])

    def logs(self, slug: str, query: str = "") -> list[dict[str, Any]]:
        return list(self.call("GET", f"/paas/apps/{slug}/logs?limit=200{query}")["items"])

    def get(self, slug: str, path: str = "/", **options: Any) -> httpx.Response:
        """A visitor's request through the router."""
        host = f"{slug}.apps.localhost"
        headers = {"Host": host, **options.pop("headers", {})}
        return self.site.http.get(f"{self.site.url}{path}", headers=headers, **options)

    def replicas(self, slug: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/paas/apps/{slug}/replicas")["items"])


@dataclass
class Site:
    data_dir: Path
    port: int
    https_port: int
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        # What a killed process manager left behind still answers until the new one has replaced it.
        before = self.pids(SERVER)
        with (self.data_dir.parent / "up.log").open("ab") as log:
            command = [SKYPANEL, "up"]
            self.process = subprocess.Popen(command, env=self.env, stdout=log, stderr=log, start_new_session=True)
        what = f"a ready platform (see {self.data_dir.parent}/up.log)"
        eventually(lambda: self.ready() and self._replaced(before), within=60, what=what)

    def _replaced(self, before: list[int]) -> bool:
        now = self.pids(SERVER)
        return bool(now) and not set(now) & set(before)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.data_dir.parent / "up.log").read_text()[-3000:]
        try:
            return self.http.get(f"{self.url}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """The platform; replicas go on."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def down(self) -> None:
        self.stop()
        subprocess.run(
            [SKYPANEL, "down", "--apps"],
            env=self.env,
            check=True,
            timeout=120,
            capture_output=True,
        )

    def pids(self, name: str) -> list[int]:
        """Processes of this platform by a word of their command line and its data directory in their environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                environment = (entry / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if name in command and (str(self.data_dir) in environment or str(self.data_dir) in command):
                found.append(int(entry.name))
        return found

    def register(self, name: str) -> Client:
        body = {
            "email": f"{name}@example.org",
            "password": f"a long password of {name}",
            "name": name,
            "organization": name,
        }
        answer = self.http.post(f"{self.url}/api/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        content = answer.json()
        return Client(self, content["token"], content["organizations"][0]["id"])


@contextmanager
def site(directory: Path, **settings: str) -> Iterator[Site]:
    """A platform on the embedded default, ready; stopped with all of its replicas at the end."""
    port, https_port = free_port(), free_port()
    data_dir = directory / "data"
    env = {
        **os.environ,
        "SKYPANEL_DATA_DIR": str(data_dir),
        "SKYPANEL_HTTP_PORT": str(port),
        "SKYPANEL_HTTPS_PORT": str(https_port),
        "SKYPANEL_GIT_ALLOWED_PRIVATE_HOSTS": "127.0.0.1",
        "SKYPANEL_SIGNUP_CREDIT": "1000",
        "SKYPANEL_REGISTRATIONS_PER_QUARTER": "1000",  # everybody comes from 127.0.0.1
        **settings,
    }
    running = Site(data_dir, port, https_port, env)
    try:
        running.start()
        yield running
    finally:
        running.down()
        running.http.close()


def describe(site_: Site) -> str:
    """What the platform's own logs say, for a failing test."""
    return json.dumps(
        {path.name: path.read_text()[-2000:] for path in (site_.data_dir / "log").glob("*.log")}, indent=1
    )
