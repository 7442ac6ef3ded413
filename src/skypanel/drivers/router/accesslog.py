"""The router's access log: one JSON line a request becomes a value, and that the router line of the app's log.

Lines carry what strangers sent (paths, hosts, methods), so nothing here trusts their form.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

_APP = re.compile(r"app-([A-Za-z0-9-]{1,64}?)(?:-tls)?@file")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
MAX_TEXT = 2000


class AccessEntry(NamedTuple):
    ts_ns: int  # when the request came, nanoseconds since the epoch
    app_id: str | None  # None: the platform's own names, and hosts that nobody has
    method: str
    host: str
    path: str  # values of the query are dropped: they may be secrets
    status: int
    duration_ms: float
    bytes: int
    client: str
    secure: bool = False
    app_status: int = 0  # what the app answered; 0 when no replica did
    retries: int = 0


@lru_cache(maxsize=1024)
def app_of(router: str) -> str | None:
    match = _APP.fullmatch(router)
    return match.group(1) if match else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    # `isprintable` knows more characters than the pattern and is ten times as fast where there is none of them.
    return (value if value.isprintable() else _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value))[:MAX_TEXT]


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**63 else 0


def without_query_values(path: str) -> str:
    """`/a?token=secret&page=2` -> `/a?token=…&page=…`."""
    place, mark, query = path.partition("?")
    if not mark:
        return path
    names = [part.partition("=") for part in query.split("&")]
    return place + mark + "&".join(name + ("=…" if equals else "") for name, equals, _ in names)


def _nanoseconds(text: Any) -> int:
    """RFC 3339 with up to nine decimals, since the epoch. Raises ValueError."""
    if not isinstance(text, str) or len(text) > 40:
        raise ValueError("no time")
    whole, _, fraction = text.removesuffix("Z").partition(".")
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        raise ValueError("no time in UTC")
    found = _seconds(whole) * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
    if not 0 <= found < 2**63:
        raise ValueError("no time of a request")
    return found


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def parse(line: str | bytes) -> AccessEntry | None:
    """None for what is no line of an access log."""
    try:
        value = orjson.loads(line)
        ts_ns = _nanoseconds(value["StartUTC"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
    router = value.get("RouterName")
    router = router if isinstance(router, str) else ""
    return AccessEntry(
        ts_ns=ts_ns,
        app_id=app_of(router),
        method=_text(value.get("RequestMethod"))[:32],
        host=_text(value.get("RequestHost"))[:260],
        path=without_query_values(_text(value.get("RequestPath"))),
        status=_count(value.get("DownstreamStatus")),
        duration_ms=_count(value.get("Duration")) / 1_000_000,
        bytes=_count(value.get("DownstreamContentSize")),
        client=_text(value.get("ClientHost"))[:64],
        secure=router.endswith("-tls@file"),
        app_status=_count(value.get("OriginStatus")),
        retries=_count(value.get("RetryAttempts")),
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    return text if re.fullmatch(r"[^\s\"=\\]+", text) else _quoted(text)


def render(entry: AccessEntry) -> str:
    """`method=GET path="/" host=… status=200 duration=12ms bytes=… client=… protocol=http`, always one line."""
    return (
        f"method={_word(entry.method)} path={_quoted(entry.path)} host={_word(entry.host)} status={entry.status} "
        f"duration={round(entry.duration_ms)}ms bytes={entry.bytes} client={_word(entry.client)} "
        f"protocol={'https' if entry.secure else 'http'}"
    )
