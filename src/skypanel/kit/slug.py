"""Names that go into host names, containers and files: checked once here, passed as values afterwards."""

from __future__ import annotations

import re
import unicodedata

APP_SLUG = re.compile(r"[a-z][a-z0-9-]{1,38}[a-z0-9]")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROCESS_TYPE = re.compile(r"[A-Za-z0-9_-]{1,40}")

RESERVED_SLUGS = frozenset(
    {"api", "www", "dashboard", "admin", "git", "apps", "static", "healthz", "readyz", "metrics"}
)


def is_app_slug(text: str) -> bool:
    return APP_SLUG.fullmatch(text) is not None and text not in RESERVED_SLUGS


def slugify(name: str) -> str:
    """A slug made from a name: `"My App!"` -> `"my-app"`. May be too short to be valid; `is_app_slug` says."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-").lstrip("0123456789-")[:40].rstrip("-")
