"""Git URLs as values: what may be fetched at all, decided without asking the network anything."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit, urlunsplit

from skypanel.drivers.source.port import FetchFailed
from skypanel.kit.secret import Secret

DEFAULT_PORTS = {"https": 443, "http": 80, "ssh": 22}
_SCP = re.compile(r"(?:(?P<user>[A-Za-z0-9_.][A-Za-z0-9_.-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*):(?P<path>[^:].*)")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_BAD_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|\.$|/$|^[/.-]")


@dataclass(frozen=True)
class GitUrl:
    scheme: str  # https, http, ssh
    host: str
    port: int
    path: str  # begins with "/", but for scp-like URLs, whose paths are relative to the home directory
    username: str | None = None
    password: Secret | None = None
    explicit_port: bool = False

    @property
    def clean(self) -> str:
        """The URL without credentials: what is logged, shown and given to git."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.explicit_port else ""
        user = f"{self.username}@" if self.scheme == "ssh" and self.username else ""
        path = self.path if self.path.startswith("/") else f"/~/{self.path}"
        if self.scheme == "ssh" and not self.path.startswith("/"):
            return f"{user}{host}:{self.path}"
        return urlunsplit((self.scheme, f"{user}{host}{port}", path, "", ""))

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" if self.explicit_port else f"{self.scheme}://{host}"


def _refused(message: str) -> FetchFailed:
    return FetchFailed("git_refused", message)


def parse(url: str) -> GitUrl:
    """Raises FetchFailed `git_refused` for everything but https, http and ssh URLs of an ordinary form."""
    if not url or len(url) > 2000:
        raise _refused("A Git URL is needed, for example https://github.com/you/app.git.")
    if any(ord(c) < 0x21 or ord(c) == 0x7F for c in url):
        raise _refused("The Git URL contains spaces or control characters: remove them.")
    if url.startswith("-"):
        raise _refused("The Git URL begins with '-': give it as https://host/path.")
    if "::" in url.split("/", 1)[0]:
        raise _refused("Git's remote helpers (`ext::` and the like) are not allowed: use an https or ssh URL.")
    if "://" not in url:
        return _scp_like(url)
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise _refused("The Git URL cannot be read: use the form https://host/path.") from error
    scheme = parts.scheme.lower()
    if scheme not in DEFAULT_PORTS:
        raise _refused(f"Git over {scheme}:// is not allowed: use https, http or ssh.")
    if not host or not _HOST.fullmatch(host):
        raise _refused("The Git URL has no valid host name: use the form https://host/path.")
    if parts.path in ("", "/") or parts.path.startswith("/-"):
        raise _refused("The Git URL names no repository: use the form https://host/path.")
    if parts.query or parts.fragment:
        raise _refused("A Git URL has no '?' or '#' part: remove it.")
    username = unquote(parts.username) if parts.username else None
    if scheme == "ssh" and username and not _USER.fullmatch(username):
        raise _refused("The user name in the Git URL has characters that are not allowed.")
    password = Secret(unquote(parts.password)) if parts.password else None
    return GitUrl(scheme, host, port or DEFAULT_PORTS[scheme], parts.path, username, password, port is not None)


def _scp_like(url: str) -> GitUrl:
    match = _SCP.fullmatch(url)
    if match is None:
        raise _refused("Local paths cannot be fetched: use a URL such as https://host/path or git@host:path.")
    if match["path"].startswith("-"):
        raise _refused("The path in the Git URL begins with '-', which is not allowed.")
    return GitUrl("ssh", match["host"], 22, match["path"], match["user"] or "git")


def check_branch(branch: str) -> None:
    """The rules of `git check-ref-format --branch`. The empty name stands for the remote's default branch."""
    if branch and not is_branch(branch):
        raise _refused(f"{branch!r} is no valid branch name.")


def is_branch(name: str) -> bool:
    return name not in ("", "@") and len(name) <= 200 and name.isprintable() and not _BAD_BRANCH.search(name)


def check_commit(commit: str | None) -> None:
    """A full commit id, or none: what hosts can be asked for, and no option or expression of git's."""
    if commit is not None and not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise _refused(f"{commit[:60]!r} is no full commit id: give all 40 hexadecimal digits.")


def resolve_relative(base: str, relative: str) -> str:
    """A submodule's URL: those that begin with ./ or ../ are relative to the superproject's."""
    if not relative.startswith(("./", "../")):
        return relative
    parsed = parse(base)
    parts = list(PurePosixPath(parsed.path).parts)
    for step in relative.split("/"):
        if step == "..":
            if len(parts) <= (1 if parsed.path.startswith("/") else 0):
                raise _refused("A submodule's relative URL leads out of its host.")
            parts.pop()
        elif step not in ("", "."):
            parts.append(step)
    path = str(PurePosixPath(*parts)) if parts else ""
    return GitUrl(parsed.scheme, parsed.host, parsed.port, path, parsed.username, None, parsed.explicit_port).clean
