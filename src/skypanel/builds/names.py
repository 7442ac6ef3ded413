"""Short names of buildpacks: which repository, or which built-in one, they stand for. An operator's table wins."""

from __future__ import annotations

import re
from collections.abc import Mapping

from skypanel.errors import Invalid

_PUBLIC = (
    "clojure", "go", "gradle", "java", "php", "ruby", "scala", "nginx", "multi", "apt", "static", "google-chrome",
    "pgbouncer", "activestorage-preview", "cli", "chrome-for-testing", "jvm-common",
)  # fmt: skip
DEFAULT_NAMES: Mapping[str, str] = {
    "heroku/python": "builtin:python",
    "heroku/nodejs": "builtin:nodejs",
    "python": "builtin:python",
    "nodejs": "builtin:nodejs",
    "node": "builtin:nodejs",
    "static": "builtin:static",
    "procfile": "builtin:procfile",
    "heroku-buildpack-python": "https://github.com/heroku/heroku-buildpack-python",
    "heroku-buildpack-nodejs": "https://github.com/heroku/heroku-buildpack-nodejs",
    **{
        f"heroku-community/{name}": f"https://github.com/heroku/heroku-buildpack-{name}"
        for name in ("apt", "inline", "multi-procfile", "nginx", "static", "cli")
    },
    **{f"heroku/{name}": f"https://github.com/heroku/heroku-buildpack-{name}" for name in _PUBLIC},
}
_BUILTIN = re.compile(r"builtin:(?:python|nodejs|static|procfile)")
_URL = re.compile(r"(?:https?|ssh)://\S+|[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:\S+")


class UnknownBuildpack(Invalid):
    code = "buildpack_unknown"


def resolve(names: Mapping[str, str], entry: str) -> str:
    """`heroku/python` -> `builtin:python`; a Git URL (with `#branch`) stays as it is. `names`: an operator's additions.
    Raises UnknownBuildpack."""
    entry = entry.strip()
    target = names.get(entry, DEFAULT_NAMES.get(entry, entry))
    if _BUILTIN.fullmatch(target) or _URL.fullmatch(target):
        return target
    raise UnknownBuildpack(
        f"There is no buildpack named {entry[:80]!r}: use its Git URL, or a name such as heroku/python or heroku/ruby."
    )


def resolve_all(names: Mapping[str, str], setting: str) -> list[str]:
    """The application's setting: empty or `auto` means detection; several, separated by commas, spaces or lines."""
    entries = [entry for entry in re.split(r"[\s,]+", setting.strip()) if entry]
    return [] if entries in ([], ["auto"]) else [resolve(names, entry) for entry in entries]
