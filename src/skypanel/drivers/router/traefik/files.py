"""One application's file for Traefik's file provider, as a value. Every value in it went through `check`.

The provider runs every file through Go templates before it parses it, so no `{{` may come from outside: `text` makes
that impossible. JSON is valid YAML, hence `.yml` with JSON in it.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from skypanel.drivers.router.check import check
from skypanel.drivers.router.port import Backend, Route

# Established connections from the router to a replica that stay longer than this are open requests: the drain of old
# replicas counts them. Also shorter than the keep-alive of common servers (gunicorn 2 s, Node 5 s), so that no request
# is written into a connection which the app is just closing (Traefik cannot repeat a POST then).
IDLE_CONNECTION_S = 1
# Streams (no length, or text/event-stream) pass at once anyway; a body of known length waits no longer than this.
# Negative would pass every write at once, at the price of a timer's goroutine and a write more for each request.
FLUSH = "10ms"
DIAL_TIMEOUT_S = 0.3
RETRY_ATTEMPTS = 6
RETRY_INITIAL_MS = 20

# An active check that fails takes a replica out, and with it every request it could still have answered. So it is
# made only where another replica can take over, and is patient with a busy one: dead ones are found by the retry.
HEALTH_INTERVAL_S = 10
HEALTH_TIMEOUT_S = 30

# Traefik prefers longer rules unless told otherwise; here rank is explicit and no app can outrank the platform.
RANK_INTERNAL = 1_000_000
RANK_PLATFORM = 100_000
RANK_APP = 10_000
RANK_LOOPBACK = 1_000
RANK_CATCH_ALL = 1

PREFIX = "app-"
TLS_SUFFIX = "-tls"
PLATFORM_SERVICE = "platform"
APP_MIDDLEWARES = ["clean", "retry"]


def router_name(key: str) -> str:
    return PREFIX + key


def page_middleware(page: str) -> str:
    return f"page-{page}"


def server_url(backend: Backend) -> str:
    address = ipaddress.ip_address(backend.address)
    return f"http://[{address}]:{backend.port}" if address.version == 6 else f"http://{address}:{backend.port}"


def host_rule(hosts: tuple[str, ...]) -> str:
    return " || ".join(f"Host(`{host}`)" for host in hosts)


def _health_check(route: Route) -> dict[str, Any]:
    return {
        "path": route.health_path,
        "hostname": route.hosts[0],
        "interval": f"{HEALTH_INTERVAL_S}s",
        "unhealthyInterval": "1s",
        "timeout": f"{max(HEALTH_TIMEOUT_S, 3 * route.health_timeout_s)}s",
        "followRedirects": False,  # a tenant must not send the router's checks to other addresses
    }


def service(route: Route) -> dict[str, Any]:
    balancer: dict[str, Any] = {
        "servers": [{"url": server_url(backend)} for backend in sorted(set(route.backends))],
        "passHostHeader": True,
        "serversTransport": "apps",
        "responseForwarding": {"flushInterval": FLUSH},
    }
    if route.health_path is not None and len(balancer["servers"]) > 1:
        balancer["healthCheck"] = _health_check(route)
    return {"loadBalancer": balancer}


def render(route: Route) -> dict[str, Any]:
    """The file's content. Raises RouterFailed when a value of the route is not plainly right."""
    check(route)
    name = router_name(route.key)
    middlewares = list(APP_MIDDLEWARES)
    if route.page is not None:
        middlewares += [name, page_middleware(route.page.value)]
    router: dict[str, Any] = {
        "rule": host_rule(tuple(dict.fromkeys(route.hosts))),
        "priority": RANK_APP,
        "service": name if route.backends else PLATFORM_SERVICE,
        "middlewares": middlewares,
    }
    http: dict[str, Any] = {
        "routers": {
            name: {**router, "entryPoints": ["web"]},
            name + TLS_SUFFIX: {**router, "entryPoints": ["websecure"], "tls": {}},
        }
    }
    if route.backends:
        http["services"] = {name: service(route)}
    else:
        http["middlewares"] = {name: {"headers": {"customRequestHeaders": {"X-SkyPanel-App": route.name}}}}
    return {"http": http}


def text(content: dict[str, Any]) -> str:
    """The file as text, without anything that a Go template would take for its own."""
    return json.dumps(content, indent=1, sort_keys=True).replace("{{", "{\\u007b") + "\n"
