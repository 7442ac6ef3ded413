"""The host names under which an application answers."""

from __future__ import annotations


def default_host(*, subdomain: str, default_domain: str) -> str:
    """`hello` and `apps.localhost` -> `hello.apps.localhost`, in lower case and without a final dot."""
    return f"{subdomain}.{default_domain}".lower().strip(".")


def app_hosts(*, subdomain: str, default_domain: str, domains: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The default host first, then the verified domains, each once."""
    names = [default_host(subdomain=subdomain, default_domain=default_domain)]
    names += [domain.lower().strip(".") for domain in domains]
    return tuple(dict.fromkeys(names))
