"""A visitor's view of an app through the router: one new connection per request, and the moment an answer changes."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from dataclasses import dataclass

Accepts = Callable[[int, str], bool]


@dataclass(frozen=True)
class Answer:
    status: int
    body: str


def ask(port: int, host: str, path: str = "/", *, timeout_s: float = 10, address: str = "127.0.0.1") -> Answer:
    connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"))
    finally:
        connection.close()


def until(
    port: int, host: str, accepts: Callable[[Answer], bool], *, within_s: float = 60, every_s: float = 0.01,
    address: str = "127.0.0.1",
) -> float:  # fmt: skip
    """`time.monotonic()` of the first answer that is accepted."""
    deadline = time.monotonic() + within_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = ask(port, host, address=address)
            if accepts(last):
                return time.monotonic()
        except OSError as error:
            last = error
        time.sleep(every_s)
    raise TimeoutError(f"{host} did not answer as expected within {within_s} s; last: {last!r}")
