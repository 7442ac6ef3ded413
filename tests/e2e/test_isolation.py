"""Two organizations on one platform, one of them hostile: what its builds and replicas can read, reach and gain, and
what its token opens. The attempts are in tests/apps/attacker; every one of them works where its guard is missing."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from git_http import GitHttpServer
from sample_apps import plain_server
from site_under_test import ROOT, Client, Site

pytestmark = pytest.mark.root

ADAS_SECRET = "adas-variable-4711"
HOST_FILES = (
    "/root",
    "/etc/shadow",
    "/etc/gshadow",
    "/home",
    "/var",
    "/run",
    "/boot",
    "/sys/kernel",
    "/proc/1/root/root",
)
SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock", "/run/runc", "/run/systemd/private")


@pytest.fixture(scope="module")
def victim(ada: Client, repositories: GitHttpServer) -> str:
    """Ada's app, with a variable, a deployment and a one-off run."""
    repositories.make("victim", plain_server(body="ada's page"))
    ada.create("victim", repositories.url("victim"))
    ada.call("PUT", "/paas/apps/victim/env", {"vars": {"SECRET": ADAS_SECRET}})
    ada.deployed("victim")
    return "victim"


@pytest.fixture(scope="module")
def victims_replica(platform: Site, victim: str) -> tuple[str, int]:
    """Address and port, as only the host knows them."""
    with sqlite3.connect(f"file:{platform.data_dir}/db/skypanel.db?mode=ro", uri=True) as database:
        address, port = database.execute(
            "SELECT r.address, r.port FROM replicas r JOIN apps a ON a.id = r.app_id "
            "WHERE a.slug = ? AND r.state = 'healthy'",
            (victim,),
        ).fetchone()
    assert "ada's page" in httpx.get(f"http://{address}:{port}/", trust_env=False).text
    return str(address), int(port)


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    """Something of the host's on 0.0.0.0; its port."""
    with socket.create_server(("0.0.0.0", 0), backlog=64) as listener:
        yield int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def targets(platform: Site, victims_replica: tuple[str, int], service: int) -> dict[str, list[str]]:
    data = platform.data_dir
    instance = json.loads((data / "instance.json").read_text())
    gateway = f"{instance['network'].split('/')[0].rsplit('.', 1)[0]}.1"
    own = sorted(str(path) for path in data.iterdir())
    app = next((data / "layers").iterdir())
    inner = [str(path) for path in (*app.iterdir(), *(data / "keys").iterdir(), data / "db" / "skypanel.db")]
    address, port = victims_replica
    local = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    machine = next((ip for ip in local if "." in ip and not ip.startswith(gateway.rsplit(".", 1)[0])), gateway)
    reach = [f"{address}:{port}"]
    for host in ("127.0.0.1", gateway, machine):
        reach += [f"{host}:{p}" for p in (platform.port, platform.https_port, instance["server_port"], service)]
    return {
        "read": [*HOST_FILES, *SOCKETS, str(data), *own, *inner, f"/run/skypanel-{instance['id']}", str(ROOT)],
        "connect": [*reach, "169.254.169.254:80"],
    }


@pytest.fixture(scope="module")
def attacker(mallory: Client, repositories: GitHttpServer, targets: dict[str, list[str]]) -> str:
    """Mallory's app, whose build and replicas are the attack."""
    repositories.make("attacker", ROOT / "tests" / "apps" / "attacker")
    repositories.commit("attacker", {"targets.json": json.dumps(targets)})
    mallory.create("attacker", repositories.url("attacker"))
    mallory.deployed("attacker")
    return "attacker"


def posted(mallory: Client, wanted: dict[str, list[str]]) -> dict[str, Any]:
    answer = mallory.site.http.post(
        f"http://127.0.0.1:{mallory.site.port}/", json=wanted, headers={"Host": "attacker.apps.localhost"}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module", params=["a build", "a replica"])
def report(
    request: pytest.FixtureRequest, mallory: Client, attacker: str, targets: dict[str, list[str]]
) -> dict[str, Any]:
    if request.param == "a build":
        return dict(mallory.get(attacker, "/build").json()["build"])
    return posted(mallory, targets)


def test_no_file_of_the_host_or_the_platform_can_be_read(report: dict[str, Any]) -> None:
    got = {path: text for path, text in report["read"].items() if text.startswith("GOT ")}
    # Mount points of the container's own may exist; they must be as empty as they were made.
    assert {path: text for path, text in got.items() if path not in ("/var", "/run", "/home")} == {}
    assert got.get("/var", "GOT ").split()[1:] in ([], ["tmp"])
    assert got.get("/run", "GOT ") == "GOT "


def test_the_probe_itself_can_read_and_connect(mallory: Client, attacker: str) -> None:
    found = posted(mallory, {"read": ["/app/Procfile"], "connect": ["127.0.0.1:5000", "0.0.0.0:5000"]})
    assert found["read"]["/app/Procfile"].startswith("GOT web:")
    assert "GOT" in found["connect"].values(), found["connect"]


def test_neither_a_neighbour_nor_the_platform_nor_the_host_can_be_reached(
    report: dict[str, Any], targets: dict[str, list[str]]
) -> None:
    assert set(report["connect"]) == set(targets["connect"])
    assert [target for target, answer in report["connect"].items() if answer == "GOT"] == []


def test_the_targets_are_open_from_the_host(targets: dict[str, list[str]], service: int) -> None:
    """Else the test before would hold without any firewall."""
    open_here = []
    for target in targets["connect"][:-1]:
        host, port = target.rsplit(":", 1)
        with socket.socket() as probe:
            probe.settimeout(2)
            if probe.connect_ex((host, int(port))) == 0:
                open_here.append(target)
    assert targets["connect"][0] in open_here
    assert sum(target.endswith(f":{service}") for target in open_here) == 3


def test_no_privilege_can_be_gained(report: dict[str, Any]) -> None:
    assert {name: answer for name, answer in report["gain"].items() if not answer.startswith("no: ")} == {}
    assert report["state"] == {
        "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2",
        "Groups": report["state"]["Groups"],
    }  # fmt: skip
    assert report["state"]["Groups"].split() in ([], [str(report["uid"])])
    assert report["uid"] >= 200_000
    assert report["set user id"] == str(report["uid"])


def test_every_mount_that_can_be_written_or_bound_ignores_devices_and_set_user_id(report: dict[str, Any]) -> None:
    mounts = {place: options.split(",") for place, options in report["mounts"].items()}
    assert "ro" in mounts["/"]
    weak = {
        place: options
        for place, options in mounts.items()
        if place != "/"
        and not place.startswith("/proc/")
        and ("nosuid" not in options or ("nodev" not in options and not place.startswith("/dev")))
    }
    assert weak == {}


def test_only_the_containers_own_processes_are_there(report: dict[str, Any]) -> None:
    seen = " ".join(report["processes"].values())
    assert len(report["processes"]) < 12
    for word in ("skypanel.manage", "supervisord", "traefik", "conmon", "SKYPANEL_DATA_DIR", ADAS_SECRET):
        assert word not in seen
    assert report["left behind"] in ([], ["/tmp/left-by-a-replica"])


def test_a_second_build_and_its_replicas_find_nothing_of_the_first(
    mallory: Client, attacker: str, repositories: GitHttpServer
) -> None:
    assert mallory.get(attacker, "/own").json()["file"] == "untouched"
    assert mallory.get(attacker, "/own").json()["file"] == "changed by mallory"  # his own writable layer
    scaled = mallory.call("POST", f"/paas/apps/{attacker}/scale", {"replicas": 3})
    mallory.job(scaled["job_id"])
    files = [mallory.get(attacker, "/own").json()["file"] for _ in range(12)]
    assert files.count("untouched") == 2, files
    repositories.commit(attacker, {"again": "1"})
    mallory.deployed(attacker)
    assert mallory.get(attacker, "/build").json()["build"]["left behind"] == []
    assert posted(mallory, {"read": [], "connect": []})["left behind"] == []
    assert mallory.get(attacker, "/own").json()["file"] == "untouched"


OPEN_TO_ALL = {
    "/api/auth/register", "/api/auth/login", "/api/auth/logout", "/api/auth/me", "/api/auth/tokens",
    "/api/organizations", "/api/paas/apps", "/api/paas/plans", "/api/invitations/accept",
}  # fmt: skip


@pytest.fixture(scope="module")
def adas_objects(ada: Client, victim: str) -> dict[str, str]:
    run = ada.call("POST", f"/paas/apps/{victim}/run", {"command": "true"})
    invited = ada.call(
        "POST", f"/organizations/{ada.organization_id}/invitations", {"email": "x@example.org", "role": "viewer"}
    )
    token = ada.call("POST", "/auth/tokens", {"name": "hers"})
    me = ada.call("GET", "/auth/me")
    return {
        "app": ada.app(victim)["id"], "slug": victim, "organization": ada.organization_id, "version": "1",
        "run_id": run["run"]["id"], "job_id": run["job_id"], "key": "SECRET", "user_id": me["user"]["id"],
        "invitation_id": invited["invitation"]["id"], "token": token["api_token"]["id"],
    }  # fmt: skip


def filled(path: str, ids: dict[str, str], *, app: str) -> str:
    kinds = {
        "/api/paas/apps/{id}": app, "/api/organizations/{id}": ids["organization"],
        "/api/auth/tokens/{id}": ids["token"], "/api/admin/paas/organizations/{id}": ids["organization"],
    }  # fmt: skip
    for prefix, value in kinds.items():
        if path.startswith(prefix):
            path = path.replace("{id}", value)
    for name in ("version", "run_id", "job_id", "key", "user_id", "invitation_id"):
        path = path.replace(f"{{{name}}}", ids[name])
    return path.replace("{slug}", "pro")


def test_every_route_answers_404_for_what_is_anothers(
    platform: Site, ada: Client, mallory: Client, victim: str, adas_objects: dict[str, str]
) -> None:
    document = platform.http.get(f"{platform.url}/api/openapi.json").json()
    wrong: list[str] = []
    asked = 0
    for path, operations in document["paths"].items():
        if not path.startswith("/api/") or path in OPEN_TO_ALL:
            continue
        expected = (403, 404) if path.startswith("/api/admin/") else (404,)
        for method in operations:
            for app in (adas_objects["app"], victim):
                for organization in (mallory.organization_id, ada.organization_id, "ada"):
                    url = f"{platform.url}{filled(path, adas_objects, app=app)}"
                    assert "{" not in url
                    headers = {"Authorization": f"Bearer {mallory.token}", "X-Organization-Id": organization}
                    body = None if method in ("get", "delete") else {}
                    answer = platform.http.request(method, url, json=body, headers=headers)
                    asked += 1
                    if answer.status_code not in expected or ADAS_SECRET in answer.text:
                        wrong.append(f"{method} {path} as {organization}: {answer.status_code} {answer.text[:200]}")
    assert wrong == []
    assert asked > 150
    assert ada.get(victim).text == "ada's page"
    assert ada.call("GET", "/auth/tokens")["items"]


def test_lists_and_the_feed_hold_nothing_of_anothers(
    platform: Site, mallory: Client, adas_objects: dict[str, str]
) -> None:
    pages = [
        json.dumps(mallory.call("GET", path))
        for path in (
            "/paas/apps", "/organizations", f"/organizations/{mallory.organization_id}/activity",
            f"/organizations/{mallory.organization_id}/members", "/auth/tokens", "/auth/me",
        )
    ]  # fmt: skip
    for name in ("app", "organization", "run_id", "user_id", "invitation_id", "token"):
        assert not any(adas_objects[name] in page for page in pages), name
    for path in ("/paas/apps", f"/organizations/{adas_objects['organization']}/activity"):
        headers = {"Authorization": f"Bearer {mallory.token}", "X-Organization-Id": adas_objects["organization"]}
        assert platform.http.get(f"{platform.url}/api{path}", headers=headers).status_code == 404


def test_the_routers_own_pages_are_nobodys(platform: Site) -> None:
    for host in ("skypanel.internal", "traefik", "api.internal", "localhost"):
        for path in ("/api/rawdata", "/api/http/routers", "/dashboard/"):
            answer = platform.http.get(f"{platform.url}{path}", headers={"Host": host})
            assert answer.status_code in (401, 404, 405), (host, path, answer.status_code)


def holders(root: Path, words: list[bytes]) -> list[str]:
    """Files below it that hold one of the words."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.suffix != ".img":  # empty file systems
            content = path.read_bytes()
            found += [str(path) for word in words if word in content]
    return found


def test_secrets_are_seen_nowhere(platform: Site, ada: Client, repositories: GitHttpServer) -> None:
    canary, git_token = "canary-variable-8c2f61", platform.env["SKYPANEL_GIT_HTTPS_TOKEN"]
    files = plain_server()
    files["Procfile"] += "release: echo release says $CANARY; env\n"
    files["bin/post_compile"] = "#!/bin/sh\necho build says $CANARY; env\n"
    repositories.make("canary", files)
    subprocess.run(["chmod", "+x", "bin/post_compile"], cwd=repositories.work_tree("canary"), check=True)
    repositories.commit("canary", {})
    ada.create("canary", repositories.url("canary"))
    answers = [ada.call("PUT", "/paas/apps/canary/env", {"vars": {"CANARY": canary}})]
    answers.append(ada.deployed("canary"))
    repositories.commit("canary", {"server.py": "import os\nraise SystemExit('died of ' + os.environ['CANARY'])\n"})
    failed = ada.settled("canary", ada.deploy("canary"))
    assert failed["status"] == "failed"
    answers.append(failed)
    run = ada.call("POST", "/paas/apps/canary/run", {"command": "true"})
    ada.job(run["job_id"])
    said = ada.build_log("canary", 1) + ada.build_log("canary", 2)
    assert "build says [REDACTED]" in said
    assert "release says [REDACTED]" in said
    answers += [said, run]
    for path in ("/paas/apps", "/paas/apps/canary", "/paas/apps/canary/env", "/paas/apps/canary/deployments",
                 f"/organizations/{ada.organization_id}/activity", "/paas/apps/canary/replicas",
                 f"/paas/apps/canary/runs/{run['run']['id']}", f"/paas/jobs/{run['job_id']}"):  # fmt: skip
        answers.append(ada.call("GET", path))
    assert canary not in json.dumps(answers)
    assert git_token not in json.dumps(answers)

    words = [canary.encode(), git_token.encode()]
    instance = json.loads((platform.data_dir / "instance.json").read_text())["id"]
    # What a dying replica says of itself is its own output, kept for its owner as it was said.
    own_output = [platform.data_dir / "logs", platform.data_dir / "spool"]
    left = [
        path
        for root in (platform.data_dir, Path(f"/run/skypanel-{instance}"))
        for path in holders(root, words)
        if not any(Path(path).is_relative_to(own) for own in own_output)
    ]
    assert left == []
    assert holders(platform.data_dir / "logs", [git_token.encode()]) == []
    assert git_token.encode() not in (platform.data_dir.parent / "up.log").read_bytes()

    uid = json.loads((platform.data_dir / "instance.json").read_text())["uid"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            owner = process.stat().st_uid
        except OSError:
            continue
        assert not any(word in command for word in words), command
        if owner == uid:
            assert not any(word in environment for word in words), command
