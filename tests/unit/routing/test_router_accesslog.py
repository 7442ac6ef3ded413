from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skypanel.drivers.router.accesslog import AccessEntry, app_of, parse, render, without_query_values

LINE = {
    "ClientHost": "203.0.113.7",
    "DownstreamContentSize": 512,
    "DownstreamStatus": 200,
    "Duration": 12_345_678,
    "OriginStatus": 200,
    "RequestHost": "hello.apps.test",
    "RequestMethod": "GET",
    "RequestPath": "/a?token=secret",
    "RetryAttempts": 1,
    "RouterName": "app-0190-ab-tls@file",
    "StartUTC": "2026-11-23T02:29:29.659611643Z",
    "level": "info",
}


def test_a_line_of_the_access_log_becomes_an_entry() -> None:
    assert parse(json.dumps(LINE)) == AccessEntry(
        ts_ns=1_795_400_969_659_611_643,
        app_id="0190-ab",
        method="GET",
        host="hello.apps.test",
        path="/a?token=…",
        status=200,
        duration_ms=12.345678,
        bytes=512,
        client="203.0.113.7",
        secure=True,
        app_status=200,
        retries=1,
    )


def test_an_entry_reads_as_the_router_line_of_the_apps_log() -> None:
    entry = parse(json.dumps(LINE).encode())
    assert entry is not None
    assert render(entry) == (
        'method=GET path="/a?token=…" host=hello.apps.test status=200 duration=12ms bytes=512 '
        "client=203.0.113.7 protocol=https"
    )


@pytest.mark.parametrize(
    ("router", "app"),
    [
        ("app-11@file", "11"),
        ("app-11-tls@file", "11"),
        ("platform@file", None),
        ("app-11@internal", None),
        ("app-1 1@file", None),
        ("", None),
    ],
)
def test_only_routers_of_apps_name_an_app(router: str, app: str | None) -> None:
    assert app_of(router) == app


def test_values_of_the_query_are_not_logged() -> None:
    assert without_query_values("/a?x=1&y&z=a=b?c") == "/a?x=…&y&z=…"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(st.text() | st.binary())
def test_what_is_no_line_is_no_entry_and_no_error(line: str | bytes) -> None:
    parse(line)


@given(st.dictionaries(st.sampled_from(sorted(LINE)), json_values))
def test_no_value_in_a_line_breaks_the_router_line(values) -> None:
    entry = parse(json.dumps({**LINE, **values}))
    if entry is not None:
        assert len(render(entry).splitlines()) == 1


def test_a_path_cannot_forge_other_fields() -> None:
    entry = parse(json.dumps({**LINE, "RequestPath": '/" status=500 x="\n', "RequestMethod": "GET status=1"}))
    assert entry is not None
    assert render(entry).startswith('method="GET status=1" path="/\\" status=500 x=\\"\N{REPLACEMENT CHARACTER}" host=')
