"""Is a route safe to hand to a router? One check for all drivers, so that the fake refuses what the real one refuses.

A router's configuration is shared by all tenants: one bad value there would stop every later change of every
application. So nothing is escaped or mended here: what is not plainly right is refused.
"""

from __future__ import annotations

import ipaddress
import re

from skypanel.drivers.router.port import Backend, Page, Route, RouterFailed

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,79}")
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PATH = re.compile(r"/[A-Za-z0-9/._~!$&'()*+,;=:@%?-]{0,499}")
MAX_HOSTS = 200
MAX_BACKENDS = 1000


def check_key(key: str) -> None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise RouterFailed(f"{key!r} is no key of a route")


def is_host(name: str) -> bool:
    """A DNS name in lower case and ASCII (international names as `xn--…`); no wildcard, no port, no final dot."""
    return isinstance(name, str) and len(name) <= 253 and _HOST.fullmatch(name) is not None


def _check_backend(backend: Backend) -> None:
    try:
        ipaddress.ip_address(backend.address)
    except ValueError as error:
        raise RouterFailed(f"{backend.address!r} is no IP address") from error
    if "%" in backend.address:
        raise RouterFailed(f"{backend.address!r} has a zone, which a route cannot have")
    if type(backend.port) is not int or not 1 <= backend.port <= 65535:
        raise RouterFailed(f"{backend.port!r} is no port")


def check(route: Route) -> None:
    """Raises RouterFailed, naming the value, unless every value of the route is plainly right."""
    check_key(route.key)
    if not isinstance(route.name, str) or not _NAME.fullmatch(route.name):
        raise RouterFailed(f"{route.name!r} is no name of an application")
    if not route.hosts or len(route.hosts) > MAX_HOSTS:
        raise RouterFailed(f"route {route.name} has {len(route.hosts)} host names; 1 to {MAX_HOSTS} are possible")
    for host in route.hosts:
        if not is_host(host):
            raise RouterFailed(f"{host!r} is no host name")
    if len(route.backends) > MAX_BACKENDS:
        raise RouterFailed(f"route {route.name} has more than {MAX_BACKENDS} backends")
    for backend in route.backends:
        _check_backend(backend)
    if bool(route.backends) == (route.page is not None):
        raise RouterFailed(f"route {route.name} needs either backends or a page")
    if route.page is not None and not isinstance(route.page, Page):
        raise RouterFailed(f"{route.page!r} is no page")
    if route.health_path is not None and not _PATH.fullmatch(route.health_path):
        raise RouterFailed(f"{route.health_path!r} is no path for health checks")
    if type(route.health_timeout_s) is not int or not 1 <= route.health_timeout_s <= 3600:
        raise RouterFailed(f"{route.health_timeout_s!r} is no time limit for health checks")
