"""The level of a line, guessed from its text: JSON, logfmt, or the words that loggers put in front. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson

DEBUG, INFO, WARN, ERROR = "debug", "info", "warn", "error"

_WORDS = {
    **dict.fromkeys(("trace", "debug", "verbose", "dbg", "fine", "silly"), DEBUG),
    **dict.fromkeys(("info", "information", "notice", "log", "default"), INFO),
    **dict.fromkeys(("warn", "warning"), WARN),
    **dict.fromkeys(
        ("error", "err", "critical", "crit", "fatal", "alert", "emerg", "emergency", "panic", "severe", "dpanic"), ERROR
    ),
}
_KEYS = ("level", "severity", "lvl", "levelname", "log.level", "loglevel")
_SEEN = 240  # characters looked at in plain lines: a level comes early or not at all

_ANSI = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)")
_LOGFMT = re.compile(r"(?:^|[\s,])(?:level|lvl|severity|loglevel)=[\"']?([A-Za-z]{3,11})\b", re.IGNORECASE)
_UPPER = re.compile(
    r"(?<![A-Za-z0-9_./\"'=-])(TRACE|DEBUG|VERBOSE|INFO|NOTICE|WARN|WARNING|ERROR|ERR|CRITICAL|CRIT|FATAL|ALERT|EMERG|PANIC"
    r"|SEVERE)(?![A-Za-z0-9_./=-])"
)
_BRACKETED = re.compile(
    r"[\[(<](trace|debug|verbose|info|notice|warn|warning|error|err|critical|crit|fatal|alert|emerg|panic)[\])>]",
    re.IGNORECASE,
)
_PREFIX = re.compile(
    r"(trace|debug|verbose|info|notice|warn|warning|error|critical|fatal error|fatal|panic)\s*[:|]"
    r"|npm (err)!|npm (warn)\b",
    re.IGNORECASE,
)
_FAILURE = re.compile(r"Traceback \(most recent call last\)|(?:Uncaught )?[A-Za-z_.]{0,80}(?:Error|Exception)(?::|$)")


def guess(message: str) -> str:
    """`debug`, `info`, `warn` or `error`; `info` where nothing tells."""
    text = message[:_SEEN]
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    text = text.lstrip()
    if text.startswith("{"):
        return _of_json(message) or INFO
    for find in (_of_logfmt, _of_words, _of_failure):
        level = find(text)
        if level is not None:
            return level
    return INFO


def of_status(status: int) -> str:
    """Of a request by the status of its answer."""
    if status >= 500:
        return ERROR
    return WARN if status >= 400 else INFO


def _of_json(message: str) -> str | None:
    try:
        value = orjson.loads(message.encode(errors="replace"))
    except orjson.JSONDecodeError:
        return None
    for key in _KEYS if isinstance(value, dict) else ():
        level = _of_value(value.get(key))
        if level is not None:
            return level
    return None


def _of_value(value: object) -> str | None:
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    if isinstance(value, int) and not isinstance(value, bool) and 10 <= value <= 60:  # bunyan and pino
        return DEBUG if value < 30 else INFO if value < 40 else WARN if value < 50 else ERROR
    return None


def _of_logfmt(text: str) -> str | None:
    found = _LOGFMT.search(text) if "=" in text else None
    return _WORDS.get(found[1].lower()) if found else None


def _of_words(text: str) -> str | None:
    prefix = _PREFIX.match(text)
    if prefix is not None:
        return _WORDS[next(word for word in prefix.groups() if word).lower().split()[0]]
    found = min(filter(None, (_UPPER.search(text), _BRACKETED.search(text))), key=_place, default=None)
    return _WORDS[found[1].lower()] if found is not None else None


def _of_failure(text: str) -> str | None:
    return ERROR if _FAILURE.match(text) else None


_place: Callable[[re.Match[str]], int] = re.Match.start
