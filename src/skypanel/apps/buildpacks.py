"""Short names of buildpacks, and the repositories they stand for (a table that an admin may edit)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from skypanel.apps.models import BuildpackName
from skypanel.apps.rules import is_git_url, refuse
from skypanel.db import Session

# They ship with the platform and need no repository; "builtin:" in front keeps them apart from an admin's names.
BUILTIN = ("python", "nodejs", "static", "procfile")


def builtin_of(name: str) -> str | None:
    """`"python"` for `"python"` and `"builtin:python"`; None for everything that is none of ours."""
    plain = name.removeprefix("builtin:")
    return plain if plain in BUILTIN else None


def known_names(session: Session) -> dict[str, str]:
    """Short name to Git URL, sorted by name."""
    rows = session.scalars(sa.select(BuildpackName).order_by(BuildpackName.name))
    return {row.name: row.git_url for row in rows}


def require_known_buildpacks(session: Session, buildpacks: Sequence[str]) -> None:
    """Raises Invalid (`buildpack_unknown`) for a short name that stands for nothing, and lists those that do."""
    short = [name for name in buildpacks if not is_git_url(name) and builtin_of(name) is None]
    if not short:
        return
    known = known_names(session)
    for name in short:
        if name not in known:
            listed = ", ".join([*BUILTIN, *known])
            raise refuse("buildpack", f"There is no buildpack {name}. Known are {listed}.", code="buildpack_unknown")
