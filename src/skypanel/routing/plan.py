"""What the router should know, as a pure function of what serves; and what has to change for that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from skypanel.apps.models import AppStatus, Wanted
from skypanel.drivers.router.port import Backend, Page, Route


@dataclass(frozen=True)
class AppFacts:
    """What routing has to know of one application."""

    id: str
    slug: str
    status: str  # AppStatus
    wanted: str  # Wanted
    hosts: Sequence[str]
    backends: Sequence[Backend]  # of the healthy web replicas that should get requests
    health_path: str | None = None  # None: the app is checked by TCP
    health_timeout_s: int = 5
    network: str = ""


def page_for(*, status: str, wanted: str) -> Page:
    """What a visitor is told while no replica answers. The owner's will counts before the state it leads to."""
    if Wanted.SUSPENDED in (wanted, status):
        return Page.SUSPENDED
    if Wanted.STOPPED in (wanted, status):
        return Page.STOPPED
    if status in (AppStatus.CRASHED, AppStatus.FAILED):
        return Page.CRASHED
    return Page.DEPLOYING


def wanted_route(facts: AppFacts) -> Route | None:
    """An application that should not run gets no request, even while its replicas still end. One that was never
    deployed has no route: there is nothing to wait for."""
    serves = bool(facts.backends) and facts.wanted == Wanted.RUNNING
    if not serves and facts.wanted == Wanted.RUNNING and facts.status == AppStatus.CREATED:
        return None
    return Route(
        key=facts.id,
        name=facts.slug,
        hosts=tuple(dict.fromkeys(facts.hosts)),
        backends=tuple(sorted(set(facts.backends))) if serves else (),
        page=None if serves else page_for(status=facts.status, wanted=facts.wanted),
        health_path=facts.health_path,
        health_timeout_s=facts.health_timeout_s,
        network=facts.network,
    )


def differences(wanted: Mapping[str, str], actual: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """(keys to put, keys to remove), sorted. Both arguments map keys to fingerprints, as `Router.routes` does."""
    put = sorted(key for key, fingerprint in wanted.items() if actual.get(key) != fingerprint)
    return put, sorted(actual.keys() - wanted.keys())
