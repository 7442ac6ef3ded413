"""What Traefik is told besides the applications: its static file, and the platform's own routes and pages."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skypanel.drivers.router.check import is_host
from skypanel.drivers.router.port import Page, RouterFailed
from skypanel.drivers.router.traefik import files

GRACE_S = 10
CLIENT_IDLE_S = 180
INTERNAL_DOMAIN = "skypanel.internal"
LOG_FIELDS = (
    "ClientHost",
    "DownstreamContentSize",
    "DownstreamStatus",
    "Duration",
    "OriginStatus",
    "RequestHost",
    "RequestMethod",
    "RequestPath",
    "RetryAttempts",
    "RouterName",
    "StartUTC",
)


@dataclass(frozen=True)
class RouterConfig:
    directory: Path  # <data_dir>/router
    host: str  # address the public ports listen on
    http_port: int
    https_port: int
    server_url: str  # http://127.0.0.1:<port> of the platform's server
    dashboard_host: str
    other_servers: tuple[str, ...] = ()  # further copies of it
    servers_may_vanish: bool = False  # with their machine: no connection to them is kept for later
    uid: int | None = None  # whom Traefik runs as; None: as the caller
    gid: int | None = None


def _entry_point(address: str) -> dict[str, Any]:
    return {
        "address": address,
        "transport": {
            # A read time-out counts to the end of the body: it cuts slow uploads (measured). 0: none.
            "respondingTimeouts": {"readTimeout": "0s", "writeTimeout": "0s", "idleTimeout": f"{CLIENT_IDLE_S}s"},
            "lifeCycle": {"graceTimeOut": f"{GRACE_S}s"},
        },
        # X_Forwarded_For would reach a WSGI app as X-Forwarded-For.
        "http": {"aliasHeadersStrategy": "delete"},
    }


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def static_file(config: RouterConfig) -> dict[str, Any]:
    """Paths are relative to the router's directory: the launcher may show it to Traefik at another place."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            "web": _entry_point(_authority(config.host, config.http_port)),
            "websecure": _entry_point(_authority(config.host, config.https_port)),
            "internal": _entry_point("127.0.0.1:0"),
        },
        "providers": {"providersThrottleDuration": "10ms", "file": {"directory": "dynamic", "watch": True}},
        "api": {"dashboard": False, "disableDashboardAd": True},
        "ping": {"manualRouting": True},
        "log": {"level": "ERROR", "noColor": True},
        "accessLog": {
            "filePath": "access.log",
            "format": "json",
            "bufferingSize": 100,  # lines are written beside the answer instead of before its end: 8 % less CPU
            "fields": {
                "defaultMode": "drop",
                "names": dict.fromkeys(LOG_FIELDS, "keep"),
                "headers": {"defaultMode": "drop"},
                "queryParameters": {"defaultMode": "drop"},
            },
        },
    }


def _router(rule: str, *, rank: int, service: str, middlewares: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"rule": rule, "priority": rank, "service": service, "middlewares": list(middlewares)}


def _own_names(config: RouterConfig) -> str:
    """A rule for the names and addresses under which the platform answers where no application claims them."""
    rules = ["Host(`127.0.0.1`)", "Host(`localhost`)", "Host(`::1`)"]
    try:
        address = ipaddress.ip_address(config.host)
    except ValueError as error:
        if not is_host(config.host):
            raise RouterFailed(f"{config.host!r} is no address to listen on") from error
        rules.append(f"Host(`{config.host}`)")
    else:
        # Listening on all addresses, the machine may be called by any of them: all that look like an address are ours.
        rules.append("HostRegexp(`^[0-9.]+$`)" if address.is_unspecified else f"Host(`{address}`)")
    return " || ".join(dict.fromkeys(rules))


def _internal_rule(secret: str, config: RouterConfig) -> str:
    clients = ["127.0.0.0/8", "::1"]
    try:
        address = ipaddress.ip_address(config.host)
    except ValueError:
        pass
    else:
        if not address.is_unspecified and not address.is_loopback:
            clients.append(str(address))
    return f"Host(`{internal_host(secret)}`) && ({' || '.join(f'ClientIP(`{client}`)' for client in clients)})"


def internal_host(secret: str) -> str:
    return f"{secret}.{INTERNAL_DOMAIN}"


def platform_file(config: RouterConfig, *, secret: str) -> dict[str, Any]:
    """Dashboard and API, pages, what all applications share, and the way back in for `confirm`."""
    if not is_host(config.dashboard_host):
        raise RouterFailed(f"{config.dashboard_host!r} is no host name for the dashboard")
    public = {
        "platform": _router(
            f"Host(`{config.dashboard_host}`)", rank=files.RANK_PLATFORM, service=files.PLATFORM_SERVICE,
            middlewares=("clean", "retry"),
        ),
        "loopback": _router(
            _own_names(config), rank=files.RANK_LOOPBACK, service=files.PLATFORM_SERVICE, middlewares=("clean", "retry")
        ),
        "nowhere": _router(
            "PathPrefix(`/`)", rank=files.RANK_CATCH_ALL, service=files.PLATFORM_SERVICE,
            middlewares=("clean", "retry", "page-404"),
        ),
    }  # fmt: skip
    routers: dict[str, Any] = {}
    for name, router in public.items():
        routers[name] = {**router, "entryPoints": ["web"]}
        routers[name + files.TLS_SUFFIX] = {**router, "entryPoints": ["websecure"], "tls": {}}
    inside = _internal_rule(secret, config)
    routers["internal-api"] = {
        **_router(f"{inside} && PathPrefix(`/api/`)", rank=files.RANK_INTERNAL, service="api@internal"),
        "entryPoints": ["web"],
    }
    routers["internal-ping"] = {
        **_router(f"{inside} && Path(`/ping`)", rank=files.RANK_INTERNAL, service="ping@internal"),
        "entryPoints": ["web"],
    }
    # The launcher asks here, on a loopback port of its own, whether the files are loaded.
    routers["launcher-ping"] = {
        **_router("Path(`/ping`)", rank=files.RANK_INTERNAL, service="ping@internal"), "entryPoints": ["internal"],
    }  # fmt: skip
    return {"http": {"routers": routers, "middlewares": _middlewares(), **_platform_service(config)}, "tls": _tls()}


def _middlewares() -> dict[str, Any]:
    pages = {files.page_middleware(page.value): f"/_pages/503/{page.value}" for page in Page}
    pages["page-404"] = "/_pages/404"
    return {
        "retry": {"retry": {"attempts": files.RETRY_ATTEMPTS, "initialInterval": f"{files.RETRY_INITIAL_MS}ms"}},
        # Traefik drops forged X-Forwarded-* itself, but neither their standard form nor what CGI takes for HTTP_PROXY.
        # Its own host name is nobody's business.
        "clean": {"headers": {"customRequestHeaders": {"Forwarded": "", "Proxy": "", "X-Forwarded-Server": ""}}},
        **{name: {"replacePath": {"path": path}} for name, path in pages.items()},
    }


def _platform_service(config: RouterConfig) -> dict[str, Any]:
    return {
        "services": {
            files.PLATFORM_SERVICE: {
                "loadBalancer": {
                    "servers": [{"url": url} for url in (config.server_url, *config.other_servers)],
                    "passHostHeader": True,
                    "serversTransport": "platform",
                    "responseForwarding": {"flushInterval": files.FLUSH},
                }
            }
        },
        "serversTransports": {
            "apps": _transport(256),
            # What is written into a connection to a machine that is gone waits long for an answer; a new connection
            # is refused or given up at once, and the retry asks another copy.
            "platform": _transport(-1 if config.servers_may_vanish else 256),
        },
    }


def _transport(idle_connections: int) -> dict[str, Any]:
    return {
        "maxIdleConnsPerHost": idle_connections,
        "forwardingTimeouts": {
            "dialTimeout": f"{int(files.DIAL_TIMEOUT_S * 1000)}ms",
            "responseHeaderTimeout": "0s",
            "idleConnTimeout": f"{files.IDLE_CONNECTION_S}s",
        },
    }


def _tls() -> dict[str, Any]:
    """Without a certificate of its own Traefik makes an RSA key at every start, some 50 ms in which it answers 404."""
    return {
        "stores": {"default": {"defaultCertificate": {"certFile": "tls/default.crt", "keyFile": "tls/default.key"}}},
        "options": {"default": {"minVersion": "VersionTLS12"}},
    }
