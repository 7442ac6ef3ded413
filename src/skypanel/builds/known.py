"""Whether the buildpacks somebody asks for can be had, asked before anything is stored."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from skypanel.apps.models import BuildpackName
from skypanel.builds.names import resolve
from skypanel.db import Session


def require_known_buildpacks(session: Session, buildpacks: Sequence[str]) -> None:
    """Raises UnknownBuildpack (`buildpack_unknown`) for a short name that stands for nothing."""
    if buildpacks:
        names = {row.name: row.git_url for row in session.scalars(sa.select(BuildpackName))}
        for entry in buildpacks:
            resolve(names, entry)
