"""What git says, as one sentence that says what to do."""

from __future__ import annotations

import re

from skypanel.drivers.source.command import Outcome
from skypanel.drivers.source.port import FetchFailed

_AUTH = (
    "could not read Username", "Authentication failed", "terminal prompts disabled", "error: 401", "error: 403",
    "Permission denied (publickey", "Repository not found", "error: 404", "not found", "Host key verification failed",
    "HTTP Basic: Access denied",
)  # fmt: skip
_UNREACHABLE = (
    "Could not resolve host", "Failed to connect", "Connection refused", "Connection timed out", "Operation timed out",
    "Connection reset", "SSL", "certificate", "Empty reply", "No route to host", "Network is unreachable",
    "Operation too slow", "error: 5",
)  # fmt: skip
_TOO_LARGE = ("signal 25", "File too large", "index-pack died", "invalid index-pack output")  # by the limit on files
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
_REDIRECT = re.compile(r"error: 30[1278]|redirect")


def explain(outcome: Outcome, *, url: str, max_bytes: int) -> FetchFailed:
    """`url`: without credentials."""
    text = outcome.stderr
    if outcome.cancelled:
        return FetchFailed("git_cancelled", "Fetching was cancelled.")
    if outcome.timed_out:
        return FetchFailed(
            "git_unreachable", f"{url} took too long to answer: check that the host is up and try again."
        )
    if outcome.too_much:
        return FetchFailed("git_too_large", f"{url} has more to say than any repository needs: use another one.")
    if any(sign in text for sign in _TOO_LARGE):
        return FetchFailed(
            "git_too_large", f"{url} is larger than {max_bytes // 1_000_000} MB: remove large files from it."
        )
    if _REDIRECT.search(text):
        return FetchFailed(
            "git_refused", f"{url} redirects elsewhere, which is not followed: use the repository's final URL."
        )
    if any(sign in text for sign in _AUTH):
        return FetchFailed(
            "git_auth", f"{url} was not found or needs credentials: check the URL, or add a Git token or deploy key."
        )
    if any(sign in text for sign in _UNREACHABLE):
        return FetchFailed("git_unreachable", f"{url} cannot be reached ({_last(text)}): check the URL and try again.")
    return FetchFailed("git_failed", f"Fetching {url} failed: {_last(text)}")


def _last(text: str) -> str:
    lines = [re.sub(r"^(fatal|error): ", "", line.strip()) for line in text.splitlines() if line.strip()]
    # The host's own words may be among them: it is no terminal that they are shown on.
    return _UNPRINTABLE.sub("?", lines[-1])[:300] if lines else "git gave no reason"


def branch_missing(outcome: Outcome) -> bool:
    return "couldn't find remote ref" in outcome.stderr.lower()
