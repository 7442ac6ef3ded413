"""`skypanel demo`: the platform, an admin, an organization, and a sample application through the real pipeline.

Works again with the same data directory: what is there is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx

from skypanel.cli.client import Api
from skypanel.cli.config import Config
from skypanel.cli.exits import CliError
from skypanel.cli.follow import follow_deployment
from skypanel.instance import read_instance
from skypanel.manage.admin import create_admin
from skypanel.manage.demo_repository import NAME, ensure_repository, sample_directory
from skypanel.manage.doctor import network
from skypanel.manage.preflight import (
    CannotStart,
    check_containers,
    check_data_dir,
    check_ports,
    holder_of,
    skypanel_command,
)
from skypanel.manage.up import TRUSTED, child_environment, down, router_processes
from skypanel.settings import Settings

EMAIL = "admin@example.com"
APP = "hello"
FUNDS = "50.00"
READY_S = 120
ANSWER_S = 60


@dataclass(frozen=True)
class Demo:
    """What `demo.json` says, and what is printed."""

    dashboard: str
    email: str
    password: str
    token: str
    organization_id: str
    app_slug: str
    app_url: str
    balance: str

    def content(self) -> dict[str, Any]:
        return {
            "dashboard": self.dashboard, "api": f"{self.dashboard}/api", "email": self.email, "password": self.password,
            "token": self.token, "organization_id": self.organization_id, "balance": self.balance,
            "app": {"slug": self.app_slug, "url": self.app_url},
        }  # fmt: skip


def demo(settings: Settings) -> int:
    """Runs until Ctrl-C or SIGTERM, then stops platform and applications. Returns the exit code. Raises CannotStart."""
    check_data_dir(settings.data_dir)
    if (pid := holder_of(settings.data_dir)) is not None:
        raise CannotStart(
            f"A platform already runs with {settings.data_dir} (process {pid}): stop it with "
            f"`{skypanel_command()} down --data-dir {settings.data_dir}`, or choose another SKYPANEL_DATA_DIR."
        )
    check_containers(settings.runtime)
    if not router_processes(settings.data_dir):
        check_ports(settings.host, http_port=settings.http_port, https_port=settings.https_port)
    if settings.runtime == "process":
        print(TRUSTED, flush=True)
    with _interruptible():
        platform = _start(settings)
        try:
            shown = _set_up(settings, platform)
            _write(settings.data_dir / "demo.json", shown)
            print(_text(settings, shown), flush=True)
            while platform.poll() is None:
                time.sleep(0.5)
            raise CannotStart(f"The platform ended by itself; its last words:\n{_last_words(settings)}")
        except KeyboardInterrupt:
            return 0
        except CliError as error:
            raise CannotStart(f"The demo failed: {error}") from error
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            print("\nStopping the platform and the demo's applications …", flush=True)
            down(settings, apps=True)
            platform.wait()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    yield


def _start(settings: Settings) -> subprocess.Popen[bytes]:
    """`skypanel up` in a session of its own, so that a Ctrl-C reaches this process only."""
    own = "127.0.0.1,localhost"  # the sample's repository is served by this platform itself
    allowed = ",".join(filter(None, [os.environ.get("SKYPANEL_GIT_ALLOWED_PRIVATE_HOSTS", ""), own]))
    environment = {**os.environ, **child_environment(settings), "SKYPANEL_GIT_ALLOWED_PRIVATE_HOSTS": allowed}
    command = [sys.executable, "-P", "-c", "from skypanel.manage.main import main; main()", "up"]
    log = _up_log(settings)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    print(f"Starting the platform (data and logs in {settings.data_dir}) …", flush=True)
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip


def _up_log(settings: Settings) -> Path:
    return settings.data_dir / "log" / "up.log"


def _last_words(settings: Settings) -> str:
    return "\n".join(_up_log(settings).read_text(errors="replace").splitlines()[-8:])


def _set_up(settings: Settings, platform: subprocess.Popen[bytes]) -> Demo:
    url = f"http://{settings.dashboard_host}:{settings.http_port}"
    _wait_until_ready(settings, platform)
    instance = read_instance(settings.data_dir)
    assert instance is not None, "a platform that is ready has an instance"
    ensure_repository(settings.data_dir / "git", sample=sample_directory(), instance=instance)
    known = _known(settings.data_dir / "demo.json")
    password = known.get("password") or secrets.token_urlsafe(15)
    create_admin(settings, email=EMAIL, name="Administrator", password=password)
    signed_in = Api(Config(url=url)).post("/api/auth/login", {"email": EMAIL, "password": password})
    organizations = signed_in["organizations"]
    api = Api(Config(url=url, token=signed_in["token"]))
    if not organizations:
        made = api.post("/api/organizations", {"name": "Demo"})
        organizations = [made.get("organization", made)]
    organization = str(organizations[0]["id"])
    token = known.get("token") if _works(url, known.get("token", "")) else None
    token = token or str(api.post("/api/auth/tokens", {"name": "demo"})["token"])
    api = Api(Config(url=url, token=token, organization=organization))
    _fund(api, organization)
    app = _deployed(api, settings)
    wallet = api.get("/api/paas/wallet")
    balance = f"{wallet['balance']} {wallet['currency']}"
    return Demo(url, EMAIL, password, token, organization, app["slug"], app["url"], balance)


def _fund(api: Api, organization: str) -> None:
    """What the demo's organization may spend: given once, when its wallet never had anything."""
    wallet = f"/api/admin/paas/organizations/{organization}/wallet"
    if not api.items(f"{wallet}/transactions", most=1):
        api.post(f"{wallet}/entries", {"kind": "credit", "amount": FUNDS, "reason": "to try things out"})


def _wait_until_ready(settings: Settings, platform: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    checks = "it does not answer"
    while time.monotonic() < deadline:
        if platform.poll() is not None:
            raise CannotStart(_last_words(settings))
        with contextlib.suppress(httpx.TransportError, ValueError, KeyError):
            host = {"Host": f"{settings.dashboard_host}:{settings.http_port}"}
            answer = httpx.get(f"http://{_reach(settings)}/readyz", headers=host, timeout=5, trust_env=False)
            if answer.status_code == 200:
                return
            parts = answer.json()["checks"]
            checks = ", ".join(f"{part} {state}" for part, state in parts.items() if state != "ok")
        time.sleep(0.2)
    raise CannotStart(f"The platform is not ready after {READY_S} s ({checks}): see {settings.data_dir / 'log'}.")


def _deployed(api: Api, settings: Settings) -> dict[str, Any]:
    """The sample application, answering through the router."""
    mine = [app for app in api.items("/api/paas/apps") if app["slug"].startswith(APP)]
    git_url = f"http://127.0.0.1:{settings.http_port}/git/{NAME}.git"
    if mine:
        app: dict[str, Any] = api.request("PATCH", f"/api/paas/apps/{mine[0]['id']}", body={"git_url": git_url})["app"]
    else:
        body = {"name": APP, "git_url": git_url, "branch": "main", "health_check": {"type": "http", "path": "/"}}
        app = api.post("/api/paas/apps", body)["app"]
    if app["wanted"] == "running" and app["current_version"] is not None and _answers(app["url"], settings, ANSWER_S):
        return app
    print(f"Deploying the sample application from {git_url} …", flush=True)
    deployment = api.post(f"/api/paas/apps/{app['id']}/deploy")["deployment"]
    deployment = follow_deployment(api, app["id"], deployment["version"], quiet=False)
    if deployment["status"] != "running":
        away = [finding for finding in network() if not finding.ok]
        hint = f" This machine {away[0].message}: {away[0].remedy}." if away else ""
        raise CannotStart(
            f"The sample application was not deployed: {deployment['reason'] or deployment['status']}{hint}"
        )
    if not _answers(app["url"], settings, ANSWER_S):
        raise CannotStart(f"{app['url']} does not answer: `skypanel doctor` may know why.")
    return app


def _answers(url: str, settings: Settings, patience_s: float) -> bool:
    """Asked through the router, by address: names below localhost are not resolved everywhere."""
    host = httpx.URL(url).host
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if (
                httpx.get(
                    f"http://{_reach(settings)}/", headers={"Host": host}, timeout=10, trust_env=False
                ).status_code
                == 200
            ):
                return True
        time.sleep(0.1)
    return False


def _reach(settings: Settings) -> str:
    """Address and port under which this machine reaches the router."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104 - compared only
    return f"{host}:{settings.http_port}"


def _works(url: str, token: str) -> bool:
    try:
        return bool(token) and Api(Config(url=url, token=token)).get("/api/auth/me") is not None
    except CliError:
        return False


def _known(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return {name: str(content[name]) for name in ("password", "token") if name in content}


def _write(path: Path, shown: Demo) -> None:
    temporary = path.with_name("demo.json.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(shown.content(), file, indent=2)
    temporary.rename(path)


def _text(settings: Settings, shown: Demo) -> str:
    cli = Path(sys.executable).with_name("skypanel")
    return f"""
  The sample application answers:  {shown.app_url}
      or:  curl -H 'Host: {httpx.URL(shown.app_url).host}' http://{_reach(settings)}/
  Dashboard:                       {shown.dashboard}
  Sign in with:                    {shown.email}   {shown.password}
  Its wallet has:                  {shown.balance}
  On the command line:             {cli} login --url {shown.dashboard} --email {shown.email}
                                   {cli} apps

  All of this is in {settings.data_dir / "demo.json"}. Ctrl-C ends the demo and stops its applications."""
