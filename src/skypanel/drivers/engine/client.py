"""A small client of the Docker Engine's API: JSON over its Unix socket, at a version that both sides speak.

https://docs.docker.com/reference/api/engine/ — engines 20.10 (API 1.41) to 29. Engine 29 refuses what is older than
1.44, engine 20.10 what is newer than 1.41: so the version is agreed on with each engine, once.
"""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx

OLDEST, NEWEST = (1, 41), (1, 52)
SOCKET = Path("/var/run/docker.sock")
Json = dict[str, Any]
JSON_TYPE = {"Content-Type": "application/json"}


class EngineFailed(Exception):
    """The engine could not be reached (`status` 0) or refused; the message is its own, on one line."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(" ".join(message.split()))
        self.status = status

    @property
    def missing(self) -> bool:
        return self.status == 404


def agreed_version(newest_of_engine: str, oldest_of_engine: str) -> str:
    """The newest version both speak. Raises EngineFailed with the remedy when there is none."""
    newest, oldest = _numbers(newest_of_engine), _numbers(oldest_of_engine)
    if newest < OLDEST:
        raise EngineFailed(
            f"The Docker Engine here speaks API {newest_of_engine} at most, and 1.41 is needed: "
            "install Docker 20.10 or newer."
        )
    if oldest > NEWEST:
        raise EngineFailed(
            f"The Docker Engine here speaks no API older than {oldest_of_engine}, and this release of SkyPanel knows "
            f"{NEWEST[0]}.{NEWEST[1]} at most: upgrade SkyPanel."
        )
    return ".".join(map(str, min(newest, NEWEST)))


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    try:
        return int(major), int(minor)
    except ValueError:
        return (0, 0)


class EngineClient:
    """Safe to be used by many threads. Touches nothing until the first call."""

    def __init__(self, socket: Path = SOCKET, *, timeout_s: float = 20.0) -> None:
        self.socket = socket
        self._lock = threading.Lock()
        self._version: str | None = None
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(socket), limits=httpx.Limits(max_connections=512)),
            base_url="http://docker",
            timeout=httpx.Timeout(timeout_s, pool=None),
            trust_env=False,
        )

    @property
    def version(self) -> str:
        """Of the API, as agreed on."""
        with self._lock:
            if self._version is None:
                found = self._request("GET", "/version").json()
                self._version = agreed_version(found["ApiVersion"], found.get("MinAPIVersion", "1.12"))
            return self._version

    def speaks(self, major: int, minor: int) -> bool:
        return _numbers(self.version) >= (major, minor)

    def get(
        self, path: str, *, filters: Mapping[str, Sequence[str]] | None = None, timeout_s: float | None = None,
        **query: str,
    ) -> Any:  # fmt: skip
        return self._call("GET", path, filters=filters, query=query, timeout_s=timeout_s).json()

    def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout_s: float | None = None,
        **query: str,
    ) -> Any:  # fmt: skip
        answer = self._call("POST", path, query=query, body=body, headers=headers, timeout_s=timeout_s)
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None

    def delete(self, path: str, **query: str) -> None:
        self._call("DELETE", path, query=query)

    def upload(
        self, path: str, body: Iterator[bytes], *, timeout_s: float = 900.0, auth: str = "", **query: str
    ) -> bytes:
        """A tar archive, say; returns the whole answer."""
        answer = self._request(
            "POST", f"/v{self.version}{path}", params=query, content=body, timeout=timeout_s,
            headers={"Content-Type": "application/x-tar", **({"X-Registry-Auth": auth} if auth else {})},
        )  # fmt: skip
        return answer.content

    def output(
        self, path: str, query: Mapping[str, str], *, read_timeout_s: float | None = None
    ) -> Iterator[tuple[int, bytes]]:
        """(1 stdout | 2 stderr, bytes) of a multiplexed stream, frame by frame, until the engine ends it.
        https://docs.docker.com/reference/api/engine/#operation/ContainerAttach"""
        with self._stream(path, query, read_timeout_s=read_timeout_s) as answer:
            yield from _frames(answer.iter_raw())

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[str]:
        """Of a stream that does not end by itself (events): each as it comes."""
        with self._stream(path, query, read_timeout_s=None) as answer:
            yield from answer.iter_lines()

    def await_end(self, patience_s: float) -> None:
        """Returns when the engine is gone: its events broke off, and it has not answered since for so long."""
        seen = time.monotonic()
        while time.monotonic() - seen < patience_s:
            with suppress(EngineFailed):
                self._request("GET", "/version")
                try:
                    for _ in self.lines("/events", {"filters": '{"type": ["daemon"]}'}):
                        pass
                finally:
                    seen = time.monotonic()  # it was there until now, however its events ended
            time.sleep(min(0.5, patience_s / 10))

    @contextmanager
    def _stream(self, path: str, query: Mapping[str, str], *, read_timeout_s: float | None) -> Iterator[httpx.Response]:
        timeout = httpx.Timeout(20.0, read=read_timeout_s, pool=None)
        try:
            with self._http.stream("GET", f"/v{self.version}{path}", params=dict(query), timeout=timeout) as answer:
                if answer.status_code >= 400:
                    answer.read()
                    raise _refused(answer)
                yield answer
        except httpx.HTTPError as error:
            raise EngineFailed(f"the Docker Engine at {self.socket} does not answer: {error}") from error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self, method: str, path: str, *, filters: Mapping[str, Sequence[str]] | None = None,
        query: Mapping[str, str] | None = None, body: Any = None, headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> httpx.Response:  # fmt: skip
        params = dict(query or {})
        if filters:
            params["filters"] = json.dumps({key: list(values) for key, values in filters.items()})
        options: Json = {} if timeout_s is None else {"timeout": timeout_s}
        content = None if body is None else json.dumps(body).encode()
        return self._request(
            method, f"/v{self.version}{path}", params=params, content=content,
            headers={**(JSON_TYPE if body is not None else {}), **(headers or {})}, **options,
        )  # fmt: skip

    def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise EngineFailed(f"the Docker Engine at {self.socket} does not answer: {error}") from error
        if answer.status_code >= 400:
            raise _refused(answer)
        return answer


def _refused(answer: httpx.Response) -> EngineFailed:
    try:
        message = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = answer.text or f"status {answer.status_code}"
    return EngineFailed(message.removeprefix("rpc error: "), status=answer.status_code)


def _frames(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Eight bytes of header (stream, three of nothing, length), then so many of content."""
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        start = 0
        while len(rest) - start >= 8:
            stream, length = struct.unpack_from(">BxxxI", rest, start)
            if len(rest) - start - 8 < length:
                break
            yield stream, bytes(rest[start + 8 : start + 8 + length])
            start += 8 + length
        del rest[:start]
