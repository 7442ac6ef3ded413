from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path

import pytest

from skypanel.drivers.router.accesslog import parse
from skypanel.drivers.router.port import Backend, Page, Route, RouterFailed
from skypanel.drivers.router.traefik.command import rotate
from skypanel.drivers.router.traefik.setup import read_secret

APP = "0190a1b2-0000-7000-8000-000000000001"


def served(router, *replicas, host="a.test", key=APP, **more) -> Route:
    route = Route(key=key, name="a", hosts=(host,), backends=tuple(r.backend for r in replicas), **more)
    router.driver.put(route)
    assert router.driver.confirm(route, timeout_s=5)
    return route


def test_a_host_leads_to_its_app_and_others_to_the_404_page(router, replicas) -> None:
    served(router, replicas("one"))
    assert router.get("a.test") == (200, "one")
    assert router.get("A.TEST:1234") == (200, "one")
    assert router.get("b.test", "/deep/path") == (404, "page /_pages/404")


def test_the_dashboard_answers_at_its_host_and_on_this_machine(router) -> None:
    for host in ("panel.test", "localhost", "127.0.0.1"):
        assert router.get(host) == (200, "platform")


@pytest.mark.parametrize("page", list(Page))
def test_an_app_without_replicas_answers_503_with_its_page(router, page) -> None:
    served(router, page=page)
    assert router.get("a.test", "/x/y") == (503, f"page /_pages/503/{page.value}")
    assert "X-Skypanel-App: a\r\n" in router.server.heads[-1]


def test_a_removed_route_leads_to_the_404_page(router, replicas) -> None:
    served(router, replicas("one"))
    router.driver.remove(APP)
    other = served(router, replicas("two"), key="2", host="b.test")
    assert router.get("a.test")[0] == 404
    assert router.driver.routes() == {"2": router.driver.fingerprint(other)}


def test_the_clients_address_and_scheme_are_told_and_cannot_be_forged(router, replicas) -> None:
    app = replicas("one")
    served(router, app)
    forged = [
        "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil", "X-Real-Ip: 6.6.6.6",
        "X_Forwarded_For: 6.6.6.6", "Forwarded: for=6.6.6.6", "Proxy: http://evil", "X-Forwarded-Prefix: /evil",
    ]  # fmt: skip
    router.get("a.test", headers="".join(f"{line}\r\n" for line in forged))
    head = app.heads[-1]
    assert "X-Forwarded-For: 127.0.0.1\r\n" in head
    assert "X-Forwarded-Proto: http\r\n" in head
    assert "X-Forwarded-Host: a.test\r\n" in head
    assert "6.6.6.6" not in head
    assert "evil" not in head


def test_https_answers_with_http2_on_offer_and_says_so_to_the_app(router, replicas) -> None:
    app = replicas("one")
    served(router, app)
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def connect(*protocols: str) -> ssl.SSLSocket:
        context.set_alpn_protocols(list(protocols))
        raw = socket.create_connection(("127.0.0.1", router.config.https_port), timeout=10)
        return context.wrap_socket(raw, server_hostname="a.test")

    with connect("h2", "http/1.1") as connection:
        assert connection.selected_alpn_protocol() == "h2"
    with connect("http/1.1") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert "X-Forwarded-Proto: https\r\n" in app.heads[-1]


def test_a_stranger_does_not_reach_the_way_inside(router) -> None:
    secret = read_secret(router.config.directory)
    assert router.get(f"{secret}.skypanel.internal", "/api/http/routers")[0] == 200
    for host in ("x.skypanel.internal", "panel.test", "127.0.0.1", f"{secret}"):
        _, body = router.get(host, "/api/http/routers", headers=f"X-Forwarded-Host: {secret}.skypanel.internal\r\n")
        assert "rule" not in body, host
    assert (router.config.directory / "secret").stat().st_mode & 0o007 == 0


def test_a_dead_replica_beside_a_living_one_costs_no_request(router, replicas) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        dead = Backend("127.0.0.1", gone.getsockname()[1])
    route = Route(key=APP, name="a", hosts=("a.test",), backends=(replicas("one").backend, dead))
    router.driver.put(route)
    assert router.driver.confirm(route, timeout_s=5)
    assert {router.get("a.test") for _ in range(20)} == {(200, "one")}


HOSTILE = ["a`) || PathPrefix(`/", 'a"b.test', "a'b.test", "a\nb.test", "é.test", "{{env `HOME`}}.test", "a\x00.test"]


def test_hostile_values_are_refused_and_nothing_stands_still(router, replicas) -> None:
    served(router, replicas("one"))
    for number, host in enumerate(HOSTILE):
        with pytest.raises(RouterFailed):
            router.driver.put(Route(key=f"bad{number}", name="a", hosts=(host,), backends=(Backend("10.0.0.1", 80),)))
    served(router, replicas("two"))
    assert router.get("a.test") == (200, "two")


def test_a_broken_file_put_there_by_hand_is_shown_and_does_not_stop_changes(router, replicas) -> None:
    served(router, replicas("one"))
    (router.config.directory / "dynamic" / "by-hand.yml").write_text("http: {routers: {x: {nonsense: [")
    assert "foreign:by-hand.yml" in router.driver.routes()
    served(router, replicas("two"))
    assert router.get("a.test") == (200, "two")
    assert list(router.driver.routes()) == [APP]


def test_a_file_changed_by_hand_is_told_from_what_was_put(router, replicas) -> None:
    route = served(router, replicas("one"))
    path = router.config.directory / "dynamic" / f"app-{APP}.yml"
    path.write_text(path.read_text().replace("a.test", "b.test"))
    assert router.driver.routes()[APP] != router.driver.fingerprint(route)


def test_only_the_route_that_is_in_force_is_confirmed(router, replicas) -> None:
    route = served(router, replicas("one"))
    other = Route(key=APP, name="a", hosts=("a.test", "b.test"), backends=route.backends)
    assert not router.driver.confirm(other, timeout_s=0.1)


def test_the_access_log_tells_app_client_and_status_and_is_rotated(router, replicas) -> None:
    served(router, replicas("one"))
    log = router.config.directory / "access.log"
    router.get("a.test", "/x?token=secret")
    line = appears(log, "/x")
    entry = parse(line)
    assert entry is not None
    assert (entry.app_id, entry.client, entry.status, entry.path) == (APP, "127.0.0.1", 200, "/x")
    assert "secret" not in line
    before = log.stat().st_ino
    old = rotate(router.config.directory, uid=router.config.uid, gid=router.config.gid)
    assert old.stat().st_ino == before
    for _ in range(200):
        router.get("a.test", "/after")
        if log.stat().st_size:
            break
    assert parse(appears(log, "/after")) is not None
    assert line in old.read_text()


def appears(log: Path, path: str) -> str:
    """The first line of the log about a path; Traefik writes it beside the answer."""
    deadline = time.monotonic() + 10
    while True:
        for line in log.read_text().splitlines():
            if f'"RequestPath":"{path}"' in line:
                return line
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.root
def test_traefik_runs_as_the_unprivileged_user_without_our_environment(stopped_router, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    stopped_router.start()
    pid = stopped_router.traefik()
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Uid"].split() == ["65534"] * 4
    assert status["Groups"].split() == []
    assert status["NoNewPrivs"] == "1"
    assert "HTTP_PROXY" not in Path(f"/proc/{pid}/environ").read_text()
