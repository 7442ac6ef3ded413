"""Asks a replica, or the router, one question over HTTP or TCP. No redirects are followed, no body is kept."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Answer:
    """`status` is None when there was no HTTP answer; `error` says why in words."""

    status: int | None = None
    error: str | None = None
    refused: bool = False


class Probe(Protocol):
    """Asks replicas, from where they can be reached. `network`: of a cluster, that they are in."""

    def tcp(self, address: str, port: int, *, timeout_s: float, network: str = "") -> Answer: ...

    def http(
        self,
        address: str,
        port: int,
        path: str,
        *,
        host: str,
        timeout_s: float,
        headers: Mapping[str, str],
        network: str = "",
    ) -> Answer: ...


class FromHere:
    """This machine reaches every replica itself."""

    def tcp(self, address: str, port: int, *, timeout_s: float, network: str = "") -> Answer:  # noqa: ARG002
        return ask_tcp(address, port, timeout_s=timeout_s)

    def http(
        self, address: str, port: int, path: str, *, host: str, timeout_s: float, headers: Mapping[str, str],
        network: str = "",  # noqa: ARG002
    ) -> Answer:  # fmt: skip
        return ask_http(address, port, path, host=host, timeout_s=timeout_s, headers=headers)


def ask_tcp(address: str, port: int, *, timeout_s: float) -> Answer:
    try:
        with socket.create_connection((address, port), timeout=timeout_s):
            return Answer()
    except ConnectionRefusedError:
        return Answer(error="nothing listens on its port", refused=True)
    except OSError as error:
        return Answer(error=_words(error, timeout_s))


def ask_http(
    address: str, port: int, path: str, *, host: str, timeout_s: float, headers: Mapping[str, str] | None = None
) -> Answer:
    """A GET of `path` with that Host header."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in {
            "Host": host,
            "User-Agent": "skypanel-health",
            "Connection": "close",
            **(headers or {}),
        }.items():
            connection.putheader(name, value)
        connection.endheaders()
        return Answer(status=connection.getresponse().status)
    except ConnectionRefusedError:
        return Answer(error="nothing listens on its port", refused=True)
    except (OSError, http.client.HTTPException) as error:
        return Answer(error=_words(error, timeout_s))
    finally:
        connection.close()


def _words(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, http.client.BadStatusLine):
        return "the connection was closed, or what came back was no HTTP"
    return str(error) or type(error).__name__
