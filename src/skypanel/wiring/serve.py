"""The server process: values and ports for the HTTP faces."""

from __future__ import annotations

import fcntl
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from skypanel import __version__
from skypanel.accounts.policy import AuthPolicy
from skypanel.billing.topups import TopupLimits
from skypanel.db import Database
from skypanel.drivers import probe
from skypanel.http.context import Services
from skypanel.jobs.leader import leads
from skypanel.kit.money import from_decimal_string
from skypanel.kit.secret import Secret
from skypanel.routing.published import live_edges
from skypanel.settings import Settings
from skypanel.wiring.shared import (
    CLOCK,
    changes_of,
    connect_host,
    edge_token,
    git_source,
    instance_of,
    log_store,
    open_database,
    payments_of,
    vault_of,
)


def server_services() -> Services:
    settings = Settings()
    instance = instance_of(settings)
    port = f":{settings.http_port}" if settings.public_scheme == "http" else f":{settings.https_port}"
    if (settings.public_scheme, port) in (("http", ":80"), ("https", ":443")):
        port = ""
    database = open_database(settings, instance)
    clustered = settings.runtime == "swarm"
    return Services(
        database=database,
        clock=CLOCK,
        vault=vault_of(settings),
        auth=AuthPolicy(
            jwt_key=Secret((settings.data_dir / "keys" / "jwt.key").read_text().strip()),
            session_hours=settings.session_hours,
            login_failures_per_quarter=settings.login_failures_per_quarter,
            registrations_per_quarter=settings.registrations_per_quarter,
            registration=settings.registration,
        ),
        logs=log_store(settings, instance),
        check_git_url=git_source(settings).check_url,
        app_url=lambda subdomain: f"{settings.public_scheme}://{subdomain}.{settings.default_domain}{port}",
        max_apps_per_org=settings.max_apps_per_org,
        max_deployments_per_hour=settings.max_deployments_per_hour,
        # Trusted mode. The server is never root, so it asks what the instance was made with and not who it is.
        single_organization=settings.runtime == "process" or (settings.runtime == "auto" and not instance.network),
        currency=settings.currency,
        billing=settings.billing,
        signup_credit_micro=from_decimal_string(settings.signup_credit),
        payments=payments_of(settings),
        topup_limits=TopupLimits(from_decimal_string(settings.topup_min), from_decimal_string(settings.topup_max)),
        readiness=lambda: cluster_readiness(database) if clustered else readiness(settings),
        public_url=f"{settings.public_scheme}://{settings.dashboard_host}{port}",
        git_dir=settings.data_dir / "git",
        version=__version__,
        changes=changes_of(database, settings, instance),
        edge_token=edge_token(settings) if clustered else None,
        trusted_proxies=tuple(ip_network(text) for text in settings.trusted_proxies),
    )


def cluster_readiness(database: Database) -> Mapping[str, str]:
    try:
        with database.reading() as session:
            works, routed = leads(session, "worker"), bool(live_edges(session, CLOCK.now()))
    except SQLAlchemyError:
        return {}
    return {
        "worker": "ok" if works else "no worker leads",
        "router": "ok" if routed else "no ingress node has asked for routes in the last seconds",
    }


def readiness(settings: Settings) -> Mapping[str, str]:
    """Part -> "ok" or what is wrong."""
    router = probe.ask_http(
        connect_host(settings), settings.http_port, "/healthz", host=settings.dashboard_host, timeout_s=2
    )
    return {
        "worker": "ok" if _held(settings.data_dir / "run" / "worker.lock") else "the worker does not run",
        "router": "ok" if router.status == 200 else f"no answer through the router: {router.error or router.status}",
    }


def _held(path: Path) -> bool:
    """Whether a worker lives: it holds this lock as long as it does."""
    try:
        with path.open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
