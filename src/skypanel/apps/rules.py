"""What an application may be called, come from and be checked by. Pure: values in, checked values out, or Invalid."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from skypanel.drivers.source.port import FetchFailed
from skypanel.errors import FieldError, Invalid

CheckGitUrl = Callable[[str], None]  # raises FetchFailed `git_refused`

AUTO = "auto"
MAX_BUILDPACKS = 10
SHORT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}([/:][a-z0-9][a-z0-9._-]{0,60})?")
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s]+")
_NOT_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_HEALTH_PATH = re.compile(r"/[!-~]*")


@dataclass(frozen=True)
class HealthCheck:
    """Of the web process: an HTTP path that answers below 400, or a TCP port that accepts. Times in seconds."""

    type: str = "http"
    path: str = "/"
    interval_s: int = 30
    timeout_s: int = 5
    retries: int = 3


def refuse(field: str, message: str, *, code: str) -> Invalid:
    return Invalid(message, code=code, errors=[FieldError(field, message)])


def checked_name(name: str) -> str:
    """1 to 80 printable characters, blanks around it removed."""
    plain = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(plain) <= 80 or not plain.isprintable():
        raise refuse("name", "A name has 1 to 80 printable characters.", code="app_name_invalid")
    return plain


def checked_git_url(url: str, *, check: CheckGitUrl, field: str = "git_url") -> str:
    """As given. Credentials in it are refused: the URL is shown to everybody in the organization and to the build."""
    url = url.strip()
    if len(url) > 2000 or not url.isascii() or not url.isprintable() or not url:
        raise refuse(field, "A Git URL has 1 to 2,000 printable ASCII characters.", code="git_refused")
    if _has_credentials(url):
        message = "Leave credentials out of the Git URL; the operator sets the token or key for private repositories."
        raise refuse(field, message, code="git_url_credentials")
    try:
        check(url)
    except FetchFailed as error:
        raise refuse(field, str(error), code=error.code) from error
    return url


def _has_credentials(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False  # the checker refuses it with the better message
    return bool(parts.password) or (parts.scheme in ("http", "https") and "@" in parts.netloc)


def checked_branch(branch: str | None) -> str:
    """Git's own rules for branch names; empty means the repository's default branch."""
    branch = (branch or "").strip()
    if branch == "":
        return ""
    bad = (
        len(branch) > 250
        or not branch.isprintable()
        or _NOT_IN_REF.search(branch) is not None
        or branch.startswith(("-", "/"))
        or branch.endswith(("/", "."))
        or branch == "@"
        or any(part.startswith(".") or part.endswith(".lock") for part in branch.split("/"))
    )
    if bad:
        raise refuse("branch", "This is no name Git allows for a branch.", code="branch_invalid")
    return branch


def checked_buildpacks(given: str | Sequence[str] | None, *, check: CheckGitUrl) -> list[str]:
    """`"auto"`, a short name, a Git URL (`#branch` allowed) or a list of the latter two; auto is the empty list."""
    names = [given] if isinstance(given, str) else list(given or ())
    names = [name.strip() for name in names]
    if names in ([], [AUTO]):
        return []
    if len(names) > MAX_BUILDPACKS:
        raise refuse("buildpack", f"At most {MAX_BUILDPACKS} buildpacks run in one build.", code="buildpack_invalid")
    for name in names:
        if name == AUTO:
            raise refuse("buildpack", '"auto" stands alone; leave it out of the list.', code="buildpack_invalid")
        if is_git_url(name):
            address, _, branch = name.partition("#")
            checked_git_url(address, check=check, field="buildpack")
            checked_branch(branch)
        elif SHORT_NAME.fullmatch(name) is None or len(name) > 80:
            message = 'A buildpack is "auto", a short name such as heroku/nodejs, or a Git URL.'
            raise refuse("buildpack", message, code="buildpack_invalid")
    return names


def is_git_url(text: str) -> bool:
    return "://" in text or "::" in text or _SCP_LIKE.fullmatch(text) is not None


def buildpack_shown(buildpacks: Sequence[str]) -> str | list[str]:
    """As the API gives it back: `"auto"`, one string, or a list."""
    if not buildpacks:
        return AUTO
    return buildpacks[0] if len(buildpacks) == 1 else list(buildpacks)


def checked_health(health: HealthCheck) -> HealthCheck:
    errors = []
    if health.type not in ("http", "tcp"):
        errors.append(FieldError("health_check.type", 'The type is "http" or "tcp".'))
    if len(health.path) > 500 or _HEALTH_PATH.fullmatch(health.path) is None:
        errors.append(
            FieldError("health_check.path", "A path begins with / and has up to 500 ASCII characters, no blanks.")
        )
    for name, value, low, high in (
        ("interval_s", health.interval_s, 1, 3600),
        ("timeout_s", health.timeout_s, 1, 60),
        ("retries", health.retries, 1, 20),
    ):
        if not low <= value <= high:
            errors.append(FieldError(f"health_check.{name}", f"{low} to {high}."))
    if not errors and health.timeout_s > health.interval_s:
        errors.append(FieldError("health_check.timeout_s", "A check has to end before the next one begins."))
    if errors:
        raise Invalid("The health check is not possible.", code="health_check_invalid", errors=errors)
    return health
