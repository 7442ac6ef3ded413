from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from skypanel.apps.models import AppStatus, Wanted
from skypanel.drivers.router.check import check
from skypanel.drivers.router.memory import MemoryRouter
from skypanel.drivers.router.port import Backend, Page, Route
from skypanel.routing.hosts import app_hosts, default_host
from skypanel.routing.plan import AppFacts, differences, page_for, wanted_route

backends = st.lists(st.builds(Backend, address=st.ip_addresses(v=4).map(str), port=st.integers(1, 65535)), max_size=6)
facts = st.builds(
    AppFacts,
    id=st.uuids().map(str),
    slug=st.from_regex(r"[a-z][a-z0-9-]{1,38}[a-z0-9]", fullmatch=True),
    status=st.sampled_from(AppStatus),
    wanted=st.sampled_from(Wanted),
    hosts=st.lists(st.from_regex(r"[a-z]{1,10}\.(test|example)", fullmatch=True), min_size=1, max_size=4),
    backends=backends,
    health_path=st.none() | st.just("/healthz"),
)
NEVER_DEPLOYED = {"status": AppStatus.CREATED, "wanted": Wanted.RUNNING, "backends": ()}
routes = st.dictionaries(st.text(max_size=3), st.text(max_size=2), max_size=8)


def route_of(app: AppFacts) -> Route:
    route = wanted_route(app)
    assume(route is not None)
    assert route is not None
    return route


@given(facts)
def test_what_was_never_deployed_has_no_route(app: AppFacts) -> None:
    never_deployed = not app.backends and (app.status, app.wanted) == (AppStatus.CREATED, Wanted.RUNNING)
    assert (wanted_route(app) is None) == never_deployed
    assert wanted_route(replace(app, **NEVER_DEPLOYED)) is None


@given(facts)
def test_every_wanted_route_is_one_that_a_router_takes(app: AppFacts) -> None:
    check(route_of(app))


@given(facts)
def test_an_app_gets_requests_exactly_while_it_should_run_and_has_healthy_replicas(app: AppFacts) -> None:
    route = route_of(app)
    assert set(route.backends) == (set(app.backends) if app.wanted == Wanted.RUNNING else set())
    assert (route.page is None) == bool(route.backends)


@given(facts, st.randoms(use_true_random=False))
def test_the_order_of_replicas_does_not_change_the_route(app: AppFacts, random) -> None:
    shuffled = list(app.backends)
    random.shuffle(shuffled)
    other = AppFacts(**{**vars(app), "backends": shuffled})
    router = MemoryRouter()
    assert router.fingerprint(route_of(app)) == router.fingerprint(route_of(other))


@pytest.mark.parametrize(
    ("status", "wanted", "page"),
    [
        (AppStatus.STOPPED, Wanted.STOPPED, Page.STOPPED),
        (AppStatus.RUNNING, Wanted.STOPPED, Page.STOPPED),
        (AppStatus.RUNNING, Wanted.SUSPENDED, Page.SUSPENDED),
        (AppStatus.SUSPENDED, Wanted.SUSPENDED, Page.SUSPENDED),
        (AppStatus.STOPPED, Wanted.SUSPENDED, Page.SUSPENDED),
        (AppStatus.CRASHED, Wanted.RUNNING, Page.CRASHED),
        (AppStatus.FAILED, Wanted.RUNNING, Page.CRASHED),
        (AppStatus.CREATED, Wanted.RUNNING, Page.DEPLOYING),
        (AppStatus.BUILDING, Wanted.RUNNING, Page.DEPLOYING),
        (AppStatus.RUNNING, Wanted.RUNNING, Page.DEPLOYING),
    ],
)
def test_the_page_says_why_nothing_answers(status: AppStatus, wanted: Wanted, page: Page) -> None:
    assert page_for(status=status, wanted=wanted) == page


@given(routes, routes)
def test_applying_the_differences_makes_the_actual_routes_the_wanted_ones(wanted, actual) -> None:
    put, remove = differences(wanted, actual)
    after = {key: value for key, value in actual.items() if key not in remove} | {key: wanted[key] for key in put}
    assert after == wanted


@given(routes)
def test_nothing_is_done_when_nothing_differs(same) -> None:
    assert differences(same, dict(same)) == ([], [])


def test_the_default_host_is_the_subdomain_below_the_default_domain() -> None:
    assert default_host(subdomain="Hello", default_domain="apps.localhost.") == "hello.apps.localhost"


def test_an_app_answers_at_its_default_host_and_once_at_each_domain() -> None:
    hosts = app_hosts(subdomain="a", default_domain="b.test", domains=("Shop.example.", "shop.example", "a.b.test"))
    assert hosts == ("a.b.test", "shop.example")
