"""The same through the router of a real platform: another organization's things are not there, whatever is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import canaries
import pytest
from site_under_test import Client, Site

pytestmark = pytest.mark.root

OPEN_TO_ALL = {
    "/api/auth/register", "/api/auth/login", "/api/auth/logout", "/api/auth/me", "/api/auth/tokens",
    "/api/organizations", "/api/paas/apps", "/api/paas/plans", "/api/invitations/accept",
}  # fmt: skip
OF_WHO_ASKS = (
    "/api/paas/wallet",
    "/api/paas/usage",
    "/api/paas/price",
)  # they name no object: the current organization's


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
        "hour": datetime.now(UTC).strftime("%Y-%m-%dT%H:00:00Z"),
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
    return path.replace("{slug}", "pro").replace("{name}", "m1").replace("{hour}", ids["hour"])


def test_every_route_answers_404_for_what_is_anothers(
    platform: Site, ada: Client, mallory: Client, victim: str, adas_objects: dict[str, str]
) -> None:
    document = platform.http.get(f"{platform.url}/api/openapi.json").json()
    wrong: list[str] = []
    asked = 0
    hidden = (adas_objects["organization"], adas_objects["app"])
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
                    hers = path.startswith(OF_WHO_ASKS) and organization == mallory.organization_id
                    # A refusal repeats the ids it was asked for; an answer of hers may hold none of them.
                    leaked = [each for each in (canaries.VARIABLE, *(hidden if hers else ())) if each in answer.text]
                    if leaked or (answer.status_code not in expected and not hers):
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
