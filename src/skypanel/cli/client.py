"""The API over HTTP: requests, pages, event streams. Errors become one line and an exit code."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from skypanel.cli.config import Config
from skypanel.cli.exits import BY_STATUS, CliError, Exit

TIMEOUT = httpx.Timeout(30, connect=5)
STREAM_TIMEOUT = httpx.Timeout(60, connect=5)
AGAIN_S = (0.1, 0.4, 1.5)  # pauses between attempts


@dataclass(frozen=True)
class Event:
    name: str
    id: str
    data: str


def reachable(url: str) -> tuple[str, dict[str, str]]:
    """`url` as it can be connected to, and headers for it. Names below `localhost` mean this machine (RFC 6761), but
    C libraries without nss-myhostname do not resolve them."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CliError(
            f"{url!r} is no URL of a platform: it looks like https://panel.example.com.", exit_code=Exit.USAGE
        )
    if parts.scheme == "http" and parts.hostname.endswith(".localhost") and not _resolves(parts.hostname):
        port = f":{parts.port}" if parts.port else ""
        return f"http://127.0.0.1{port}", {"Host": parts.netloc}
    return url, {}


def _resolves(name: str) -> bool:
    try:
        return bool(socket.getaddrinfo(name, None))
    except socket.gaierror:
        return False


def path(*parts: str | int) -> str:
    """`path("apps", "my app")` -> `/api/apps/my%20app`: names are values, never pasted."""
    return "/api/" + "/".join(quote(str(part), safe="") for part in parts)


class Api:
    def __init__(self, config: Config) -> None:
        self.url = config.url
        base, headers = reachable(config.url)
        if config.token:
            headers["Authorization"] = f"Bearer {config.token}"
        if config.organization:
            headers["X-Organization-Id"] = config.organization
        headers["User-Agent"] = "skypanel-cli"
        # Loading the certificate store takes as long as everything else together; plain HTTP does not need it.
        self._http = httpx.Client(
            base_url=base, headers=headers, timeout=TIMEOUT, verify=base.startswith("https"),
            trust_env="Host" not in headers,
        )  # fmt: skip

    def request(
        self, method: str, path: str, *, body: Any = None, params: Mapping[str, Any] | None = None, text: bool = False
    ) -> Any:
        """The parsed answer (None without a body), or its text. Raises CliError."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        with self._translated():
            response = self._answered(method, path, json=body, params=given)
        if response.is_error:
            raise self._error(response)
        if text:
            return response.text
        try:
            return response.json() if response.content else None
        except ValueError as error:
            raise CliError(
                f"{self.url} does not answer like SkyPanel: is it the right URL?", exit_code=Exit.UNREACHABLE
            ) from error

    def _answered(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Asked again when the router says that the copy of the platform it had chosen is gone: with the same key, so
        that what was done before its answer got lost is not done twice."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        for pause_s in AGAIN_S:
            response = self._http.request(method, path, headers=headers, **content)
            if response.status_code not in (502, 504) or method not in ("GET", "POST"):
                return response
            time.sleep(pause_s)
        return self._http.request(method, path, headers=headers, **content)

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        return self.request("POST", path, body=body if body is not None else {}, params=params)

    def text(self, path: str, **params: Any) -> Iterator[str]:
        """A text of any length, in parts as they come. Raises CliError, and when it breaks off."""
        given = {name: value for name, value in params.items() if value is not None}
        with self._translated(), self._http.stream("GET", path, params=given, timeout=STREAM_TIMEOUT) as response:
            if response.is_error:
                response.read()
                raise self._error(response)
            yield from response.iter_text()

    def items(self, path: str, *, most: int | None = None, **params: Any) -> list[Any]:
        """All items of a list, page by page, or the first `most`."""
        found: list[Any] = []
        cursor: str | None = None
        while True:
            size = 200 if most is None else min(200, most - len(found))
            page = self.get(path, limit=size, cursor=cursor, **params)
            found.extend(page["items"])
            cursor = page.get("next_cursor")
            if not cursor or (most is not None and len(found) >= most):
                return found

    def events(self, path: str, **params: Any) -> Iterator[Event]:
        """Server-sent events until the server ends the stream; taken up again after the last one when the connection
        breaks. Raises CliError when the platform stays away for half a minute."""
        last_id = ""
        lost_at: float | None = None
        given = {name: value for name, value in params.items() if value is not None}
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
            try:
                with self._http.stream("GET", path, params=given, headers=headers, timeout=STREAM_TIMEOUT) as response:
                    if response.status_code >= 500 and last_id:
                        raise httpx.RemoteProtocolError("the platform is away")
                    if response.is_error:
                        response.read()
                        raise self._error(response)
                    for event in parse_events(response.iter_lines()):
                        lost_at = None
                        last_id = event.id or last_id
                        yield event
                    return
            except httpx.TransportError as error:
                now = time.monotonic()
                lost_at = lost_at or now
                if now - lost_at > 30:
                    raise CliError(f"{self.url} went away: {error}", exit_code=Exit.UNREACHABLE) from error
                time.sleep(0.5)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise CliError(f"{self.url} did not answer in time.", exit_code=Exit.UNREACHABLE) from error
        except httpx.TransportError as error:
            raise CliError(
                f"{self.url} does not answer ({error}). Is the platform up? Another one: skypanel login --url URL",
                exit_code=Exit.UNREACHABLE,
            ) from error

    def _error(self, response: httpx.Response) -> CliError:
        try:
            problem = response.json()
            detail = str(problem["detail"] or problem["title"])
        except (ValueError, KeyError, TypeError):
            problem, detail = None, f"{self.url} answered {response.status_code} {response.reason_phrase}"
        exit_code = BY_STATUS.get(response.status_code, Exit.ERROR)
        if isinstance(problem, dict):
            for field in problem.get("errors") or []:
                if str(field.get("message")) not in detail:
                    detail += f"\n  {field.get('field')}: {field.get('message')}"
        if response.status_code == 401 and not response.request.url.path.endswith("/auth/login"):
            if "Authorization" not in response.request.headers:
                detail = f"You are not signed in at {self.url}."
            detail += f"\nSign in with: skypanel login --url {self.url}"
        return CliError(detail, exit_code=exit_code, problem=problem)


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Server-sent events out of lines, as the HTML standard says; comments are dropped."""
    name, event_id, data = "message", "", list[str]()
    for line in lines:
        if line == "":
            if data:
                yield Event(name, event_id, "\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif field == "data":
            data.append(value)


def data_of(event: Event) -> dict[str, Any]:
    content = json.loads(event.data)
    return content if isinstance(content, dict) else {}
