"""Small parts of the HTTP room by themselves."""

from __future__ import annotations

from ipaddress import ip_network
from types import SimpleNamespace

import pytest
from fastapi import Request
from pydantic import ValidationError

from skypanel.errors import Conflict, FieldError, Invalid, TooMany, Unauthenticated
from skypanel.http.context import client_address
from skypanel.http.idempotency import attempt_of
from skypanel.http.pages import PAGES, render
from skypanel.http.paging import cursor_checked
from skypanel.http.problems import from_error, problems
from skypanel.http.schema import RequestBody
from skypanel.kit.paging import decode_cursor


def _request(peer: str | None, method: str = "GET", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    client = (peer, 1) if peer else None
    services = SimpleNamespace(trusted_proxies=[ip_network("10.64.1.0/24")])  # a cluster's routers
    app = SimpleNamespace(state=SimpleNamespace(services=services))
    return Request(
        {
            "type": "http",
            "method": method,
            "headers": raw,
            "client": client,
            "path": "/",
            "query_string": b"",
            "app": app,
        }
    )


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("127.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("127.0.0.1", "9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("10.64.1.7", "9.9.9.9, 1.2.3.4", "1.2.3.4"),
        ("10.64.2.7", "1.2.3.4", "10.64.2.7"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("10.0.0.1", "1.2.3.4", "10.0.0.1"),
        ("8.8.8.8", "127.0.0.1", "8.8.8.8"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "1.2.3.4, <script>", "127.0.0.1"),
        (None, "1.2.3.4", None),
    ],
)
def test_the_visitors_address_is_the_routers_last_word(peer, forwarded, address):
    assert client_address(_request(peer, x_forwarded_for=forwarded)) == address


@pytest.mark.parametrize("body", [{"name": "a\x00"}, {"name": {"deep": ["\x00"]}}, {"\x00": "a"}])
def test_a_nul_anywhere_in_a_body_is_refused(body):
    class Body(RequestBody):
        name: object

    with pytest.raises(ValidationError, match="NUL"):
        Body.model_validate(body)
    assert Body.model_validate({"name": "  kept as it is "}).name == "  kept as it is "


def test_a_problem_carries_code_detail_fields_and_headers():
    answer = from_error(Invalid("Wrong.", code="odd", errors=[FieldError("x", "is odd")]))
    assert (answer.status_code, answer.media_type) == (422, "application/problem+json")
    assert b'"type":"urn:skypanel:problem:odd"' in answer.body
    assert b'"errors":[{"field":"x","message":"is odd"}]' in answer.body
    assert from_error(TooMany("Wait.", retry_after_s=3)).headers["retry-after"] == "3"
    assert from_error(Unauthenticated("Who?")).headers["www-authenticate"] == "Bearer"
    assert b"errors" not in from_error(Conflict("No.")).body


def test_documented_problems_are_of_the_problem_media_type():
    for status, answer in problems(401, 404, 409, 413).items():
        (media_type,) = answer["content"]
        assert media_type == "application/problem+json"
        assert answer["content"][media_type]["example"]["status"] == status


def test_a_foreign_cursor_becomes_a_422():
    with pytest.raises(Invalid) as refused, cursor_checked():
        decode_cursor("nonsense", size=1)
    assert refused.value.code == "cursor_invalid"


def test_only_a_post_with_a_key_is_an_idempotent_attempt():
    assert attempt_of(_request("1.1.1.1"), b"") is None
    assert attempt_of(_request("1.1.1.1", idempotency_key="k"), b"") is None
    assert attempt_of(_request("1.1.1.1", "POST"), b"") is None
    attempt = attempt_of(_request("1.1.1.1", "POST", idempotency_key="k"), b"body")
    assert attempt is not None
    assert (attempt.key, attempt.body) == ("k", b"body")


@pytest.mark.parametrize("page", list(PAGES.values()))
def test_a_page_names_the_host_once_and_escaped(page):
    text = render(page, host="a&b<c>")
    assert text.count("<strong>a&amp;b&lt;c&gt;</strong>") == 1
    assert "<c>" not in text
