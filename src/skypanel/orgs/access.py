"""The one answer to "what may they see, and what may they do".

Every read takes a `Viewer`; what is not the viewer's organization's is NotFound, never Forbidden. What is the
organization's own but above the viewer's role is Forbidden. Deny by default: a permission no role lists is nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from skypanel.activity.record import Actor
from skypanel.errors import Forbidden
from skypanel.orgs.models import Role


class Permission(StrEnum):
    VIEW = "view"  # apps, deployments, logs, activity, members, what was used and what is left
    DEPLOY = "deploy"  # create apps, deploy, roll back, scale, restart, stop, run, cancel
    CONFIGURE = "configure"  # variables, settings, build cache
    DELETE_APP = "delete_app"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_MONEY = "manage_money"  # transactions, statements, exports, top-ups, resuming
    MANAGE_ORGANIZATION = "manage_organization"  # its name, its spending cap


_DEVELOPER = frozenset({Permission.VIEW, Permission.DEPLOY, Permission.CONFIGURE})
_ADMIN = _DEVELOPER | {Permission.DELETE_APP, Permission.MANAGE_MEMBERS, Permission.MANAGE_MONEY}

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: frozenset({Permission.VIEW}),
    Role.DEVELOPER: _DEVELOPER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: _ADMIN | {Permission.MANAGE_ORGANIZATION},
}


@dataclass(frozen=True)
class Viewer:
    """A signed-in user acting in one organization."""

    user_id: str
    email: str
    organization_id: str
    role: Role
    is_platform_admin: bool = False
    address: str | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.email, self.address)

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]


def require(viewer: Viewer, permission: Permission) -> None:
    """Raises Forbidden, naming the roles that would do."""
    if not viewer.may(permission):
        able = " or ".join(role.value for role in Role if permission in PERMISSIONS[role])
        mine = viewer.role.value
        raise Forbidden(f"This needs the role {able}; you are {mine} here. Ask an owner of the organization.")
