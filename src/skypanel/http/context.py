"""The values and ports a request may use. `wiring` fills `Services`; the factory places it on `app.state`."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Protocol, cast

from fastapi import Depends, Request

from skypanel.accounts.policy import AuthPolicy
from skypanel.billing.topups import TopupLimits
from skypanel.db import Database
from skypanel.db.changes import Changes
from skypanel.drivers.logstore.port import LogStore
from skypanel.drivers.payments.port import Payments
from skypanel.kit.clock import Clock
from skypanel.kit.secret import Secret

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Encrypts(Protocol):
    """`apps.vault.Vault`."""

    def encrypt(self, content: bytes, /) -> bytes: ...

    def decrypt(self, content: bytes, /) -> bytes: ...


def everything_ready() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True)
class Services:
    database: Database
    clock: Clock
    vault: Encrypts
    auth: AuthPolicy
    logs: LogStore
    check_git_url: Callable[[str], None]  # raises drivers.source.port's errors for a URL that is refused
    app_url: Callable[[str], str]  # subdomain -> the URL people see
    max_apps_per_org: int = 10
    max_deployments_per_hour: int = 0  # 0: no limit
    single_organization: bool = False  # the runtime cannot keep tenants apart: only one organization may have apps
    currency: str = "USD"
    billing: bool = True  # new organizations pay from their wallets
    signup_credit_micro: int = 0  # what the wallet of somebody new begins with
    payments: Payments | None = None  # who takes cards; None: nobody does
    topup_limits: TopupLimits = field(default_factory=TopupLimits)
    readiness: Callable[[], Mapping[str, str]] = field(default=everything_ready)  # part -> "ok" or what is wrong
    public_url: str = ""  # where the dashboard and the API answer, without a slash at the end
    git_dir: Path | None = None  # bare repositories served read-only below /git
    version: str = ""
    edge_token: Secret | None = None  # with which a cluster's ingress nodes ask; None: there are none
    trusted_proxies: Sequence[Network] = ()  # besides this machine: their word on the client's address counts
    changes: Changes = field(default_factory=Changes)  # what pages follow; hears nothing unless `wiring` says from whom

    @property
    def clustered(self) -> bool:
        return self.edge_token is not None


def services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


# FastAPI runs plain functions in threads: what only looks something up is asynchronous to stay out of them.
async def _services(request: Request) -> Services:
    return services(request)


ServicesDep = Annotated[Services, Depends(_services)]


def client_address(request: Request) -> str | None:
    """The visitor's address. `X-Forwarded-For` counts only when the peer is a router, and of it only
    the last entry: the ones before it are the visitor's own words."""
    peer = request.client.host if request.client else None
    forwarded = request.headers.get("x-forwarded-for")
    if forwarded and peer is not None and _is_router(peer, services(request).trusted_proxies):
        last = forwarded.rsplit(",", 1)[-1].strip()
        if _is_address(last):
            return last
    return peer


async def _client_address(request: Request) -> str | None:
    return client_address(request)


ClientAddress = Annotated[str | None, Depends(_client_address)]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_router(text: str, trusted: Sequence[Network]) -> bool:
    if not _is_address(text):
        return False
    address = ipaddress.ip_address(text)
    return address.is_loopback or any(address in network for network in trusted)
