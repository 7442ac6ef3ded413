from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skypanel.drivers.router.check import check
from skypanel.drivers.router.port import Backend, Page, Route, RouterFailed
from skypanel.drivers.router.traefik import files
from skypanel.drivers.router.traefik.config import RouterConfig, platform_file, static_file

ROUTE = Route(key="0190-ab", name="hello", hosts=("hello.apps.test",), backends=(Backend("10.0.0.2", 5000),))
CONFIG = RouterConfig(
    directory=Path("/nowhere"), host="127.0.0.1", http_port=8080, https_port=8443, server_url="http://127.0.0.1:9000",
    dashboard_host="panel.test",
)  # fmt: skip


def test_the_file_of_an_app_leads_its_hosts_to_its_backends() -> None:
    route = replace(ROUTE, hosts=("a.test", "b.test"), backends=(Backend("10.0.0.3", 80), Backend("::1", 81)))
    http = files.render(route)["http"]
    assert http["routers"]["app-0190-ab"]["rule"] == "Host(`a.test`) || Host(`b.test`)"
    assert http["routers"]["app-0190-ab-tls"]["entryPoints"] == ["websecure"]
    servers = http["services"]["app-0190-ab"]["loadBalancer"]["servers"]
    assert servers == [{"url": "http://10.0.0.3:80"}, {"url": "http://[::1]:81"}]


def test_a_page_leads_to_the_platform_and_names_the_app() -> None:
    http = files.render(replace(ROUTE, backends=(), page=Page.STOPPED))["http"]
    assert http["routers"]["app-0190-ab"]["service"] == "platform"
    assert http["routers"]["app-0190-ab"]["middlewares"][-1] == "page-stopped"
    assert http["middlewares"]["app-0190-ab"]["headers"]["customRequestHeaders"]["X-SkyPanel-App"] == "hello"
    assert "services" not in http


def test_a_single_replica_is_never_taken_out_by_active_checks() -> None:
    one = files.render(replace(ROUTE, health_path="/healthz"))["http"]["services"]["app-0190-ab"]["loadBalancer"]
    pair = (Backend("10.0.0.2", 1), Backend("10.0.0.3", 1))
    two = files.render(replace(ROUTE, health_path="/healthz", backends=pair))
    assert "healthCheck" not in one
    check_of_two = two["http"]["services"]["app-0190-ab"]["loadBalancer"]["healthCheck"]
    assert check_of_two["timeout"] == "30s"
    assert check_of_two["followRedirects"] is False


HOSTILE = [
    "", "a`) || Host(`b", 'a"b', "a'b", "a b", "a\nb", "a\\b", "ä.test", "A.test", "*.test", "a.test.",
    "a..b", "-a.test",    "{{env `HOME`}}", "a.test:80", "x" * 64, "a\x00b", "a" * 300,
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTILE)
def test_a_hostile_host_name_is_refused(host: str) -> None:
    with pytest.raises(RouterFailed):
        files.render(replace(ROUTE, hosts=("good.test", host)))


@pytest.mark.parametrize(
    "change",
    [
        {"key": "../x"},
        {"key": "a@file"},
        {"key": ""},
        {"name": "x\r\nEvil: 1"},
        {"hosts": ()},
        {"backends": (Backend("evil.test", 80),)},
        {"backends": (Backend("fe80::1%eth0", 80),)},
        {"backends": (Backend("10.0.0.1", 0),)},
        {"backends": (Backend("10.0.0.1", True),)},
        {"backends": ()},
        {"page": Page.STOPPED},
        {"health_path": "healthz"},
        {"health_path": "/{{ env `HOME` }}"},
        {"health_path": "/a\nb"},
        {"health_timeout_s": 0},
    ],
)
def test_a_value_that_is_not_plainly_right_is_refused(change) -> None:
    with pytest.raises(RouterFailed):
        check(replace(ROUTE, **change))


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8))
def test_no_text_in_a_file_is_a_template(value) -> None:
    written = files.text({"value": value})
    assert "{{" not in written
    assert json.loads(written) == {"value": value}


def test_no_app_outranks_the_platform() -> None:
    routers = platform_file(CONFIG, secret="s3cret")["http"]["routers"]
    assert (
        routers["platform"]["priority"]
        > files.RANK_APP
        > routers["loopback"]["priority"]
        > routers["nowhere"]["priority"]
    )
    assert routers["internal-api"]["priority"] > routers["platform"]["priority"]


def test_the_way_inside_needs_the_secret_and_this_machine() -> None:
    rule = platform_file(CONFIG, secret="s3cret")["http"]["routers"]["internal-api"]["rule"]
    assert rule.startswith("Host(`s3cret.skypanel.internal`) && (ClientIP(`127.0.0.0/8`)")


def test_nothing_is_sent_home_and_slow_requests_are_not_cut() -> None:
    static = static_file(CONFIG)
    assert static["global"] == {"checkNewVersion": False, "sendAnonymousUsage": False}
    assert static["entryPoints"]["web"]["transport"]["respondingTimeouts"]["readTimeout"] == "0s"
    assert static["entryPoints"]["websecure"]["address"] == "127.0.0.1:8443"


def test_a_wrong_dashboard_host_is_refused() -> None:
    with pytest.raises(RouterFailed):
        platform_file(replace(CONFIG, dashboard_host="a`b"), secret="s")
