"""Health, readiness and metrics; the pages visitors see where no application answers."""

from __future__ import annotations

import re

import pytest
from starlette.websockets import WebSocketDisconnect


def test_the_process_says_that_it_lives(api):
    answer = api.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok", "version": "1.2.3"})


def test_ready_when_every_part_is(make_api, sqlite_database):
    state = {"worker": "ok", "router": "ok"}
    api = make_api(sqlite_database, readiness=lambda: state)
    assert api.client.get("/readyz").json()["checks"] == {"database": "ok", "worker": "ok", "router": "ok"}
    state["worker"] = "gave no sign for 40 s"
    answer = api.client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["checks"]["worker"] == "gave no sign for 40 s"


def test_not_ready_without_the_database(make_api, sqlite_database, tmp_path):
    api = make_api(sqlite_database)
    api.database.close()
    (tmp_path / "api.db").write_bytes(b"no database" * 1000)
    for leftover in tmp_path.glob("api.db-*"):
        leftover.unlink()
    answer = api.client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "does not answer")


def test_metrics_count_requests_by_route_and_not_by_the_visitors_words(api):
    ada = api.register("ada@example.com", "Engines")
    ada.get(ada.home)
    api.client.get("/api/none/such")
    api.client.request("EVIL\u0041", "/healthz")
    answer = api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    assert 'skypanel_http_requests_total{method="GET",route="/api/organizations/{id}",status="200"} 1.0' in text
    assert 'method="GET",route="none",status="404"' in text
    assert "none/such" not in text
    assert "EVIL" not in text
    assert "process_resident_memory_bytes" in text


PAGES = {"stopped": "stopped", "suspended": "suspended", "crashed": "not running", "deploying": "starting"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
def test_an_unknown_host_gets_a_404_page(api, method):
    for suffix in ("", "/", "/any/path?x=1", "/..%2f..", "/404"):
        answer = api.client.request(method, f"/_pages/404{suffix}", headers={"Host": "nobody.apps.localhost"})
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), suffix
        assert answer.headers["cache-control"] == "no-store"
        assert "nobody.apps.localhost" in answer.text


@pytest.mark.parametrize("page", sorted(PAGES))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_app_that_does_not_answer_gets_its_503_page(api, page, method):
    answer = api.client.request(method, f"/_pages/503/{page}/some/path", headers={"Host": "shop.apps.localhost"})
    assert answer.status_code == 503
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["retry-after"]) > 0
    assert f"This application is {PAGES[page]}" in answer.text
    assert "shop.apps.localhost" in answer.text


def test_an_unknown_reason_is_a_503_still(api):
    assert api.client.get("/_pages/503/other").status_code == 503


def test_a_large_upload_to_a_stopped_app_gets_its_page(api):
    assert api.client.post("/_pages/503/stopped/upload", content=b"x" * 2_000_000).status_code == 503


def test_a_hosts_name_cannot_inject_markup(api):
    answer = api.client.get("/_pages/404", headers={"Host": "<script>alert(1)</script>{host}"})
    assert "<script>" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_a_page_asks_nothing_of_any_other_host(api):
    for path in ("404", *(f"503/{page}" for page in PAGES)):
        answer = api.client.get(f"/_pages/{path}")
        assert re.findall(r"(?:src|href|url|@import)\s*[=(]", answer.text) == []
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "prefers-color-scheme:dark" in answer.text
        assert len(answer.content) < 3000


def test_a_websocket_to_a_stopped_app_is_refused(api):
    with pytest.raises(WebSocketDisconnect), api.client.websocket_connect("/_pages/503/stopped/ws"):
        pass
