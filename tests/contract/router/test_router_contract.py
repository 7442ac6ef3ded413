"""What every router does, the fake as the real one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from skypanel.drivers.router.port import Backend, Page, Route, Router, RouterFailed

ROUTE = Route(key="0190-a", name="hello", hosts=("hello.test",), backends=(Backend("127.0.0.1", 5000),))


def test_a_ready_router_says_so(router: Router) -> None:
    assert router.ready()


def test_a_new_router_has_no_routes(router: Router) -> None:
    assert dict(router.routes()) == {}


def test_a_route_that_was_put_is_in_place_with_its_fingerprint_and_confirmed(router: Router) -> None:
    router.put(ROUTE)
    assert dict(router.routes()) == {ROUTE.key: router.fingerprint(ROUTE)}
    assert router.confirm(ROUTE, timeout_s=5)


def test_putting_twice_is_putting_once(router: Router) -> None:
    router.put(ROUTE)
    router.put(ROUTE)
    assert dict(router.routes()) == {ROUTE.key: router.fingerprint(ROUTE)}


@pytest.mark.parametrize(
    "other",
    [
        replace(ROUTE, hosts=("other.test",)),
        replace(ROUTE, hosts=("hello.test", "other.test")),
        replace(ROUTE, backends=(Backend("127.0.0.1", 5001),)),
        replace(ROUTE, backends=(Backend("127.0.0.1", 5000), Backend("127.0.0.2", 5000))),
        replace(ROUTE, backends=(), page=Page.STOPPED),
    ],
)
def test_another_route_has_another_fingerprint_takes_its_place_and_only_it_is_confirmed(
    router: Router, other: Route
) -> None:
    router.put(ROUTE)
    assert router.confirm(ROUTE, timeout_s=5)
    assert not router.confirm(other, timeout_s=0)
    router.put(other)
    assert router.fingerprint(other) != router.fingerprint(ROUTE)
    assert dict(router.routes()) == {ROUTE.key: router.fingerprint(other)}
    assert router.confirm(other, timeout_s=5)
    assert not router.confirm(ROUTE, timeout_s=0)


def test_pages_differ_from_each_other(router: Router) -> None:
    pages = [replace(ROUTE, backends=(), page=page) for page in Page]
    assert len({router.fingerprint(page) for page in pages}) == len(pages)


def test_routes_of_other_apps_stay(router: Router) -> None:
    other = replace(ROUTE, key="0190-b", name="other", hosts=("other.test",))
    router.put(ROUTE)
    router.put(other)
    router.remove(ROUTE.key)
    assert dict(router.routes()) == {other.key: router.fingerprint(other)}


def test_removing_what_is_not_there_is_no_error(router: Router) -> None:
    router.remove("0190-never")


def test_what_was_never_put_is_not_confirmed(router: Router) -> None:
    assert not router.confirm(replace(ROUTE, key="0190-never"), timeout_s=0)


@pytest.mark.parametrize(
    "bad",
    [
        replace(ROUTE, hosts=("a`b",)),
        replace(ROUTE, hosts=()),
        replace(ROUTE, key="../../etc/x"),
        replace(ROUTE, backends=()),
        replace(ROUTE, backends=(Backend("metadata.internal", 80),)),
    ],
)
def test_a_bad_route_is_refused_and_the_one_before_stays(router: Router, bad: Route) -> None:
    router.put(ROUTE)
    with pytest.raises(RouterFailed):
        router.put(bad)
    assert dict(router.routes()) == {ROUTE.key: router.fingerprint(ROUTE)}


@pytest.mark.parametrize("key", ["", "../x", "a/b", "a\x00b"])
def test_a_bad_key_is_refused(router: Router, key: str) -> None:
    with pytest.raises(RouterFailed):
        router.remove(key)
