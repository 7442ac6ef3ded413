"""Roles, and the terms of plans."""

from __future__ import annotations

import itertools

import pytest

from skypanel.errors import Forbidden, Invalid
from skypanel.orgs.access import PERMISSIONS, Permission, Viewer, require
from skypanel.orgs.members import may_grant
from skypanel.orgs.models import Plan, Role
from skypanel.orgs.plans import DEFAULTS, edit_plan, terms_of


def _viewer(role: Role, **more: bool) -> Viewer:
    return Viewer(user_id="u", email="u@example.com", organization_id="o", role=role, **more)


EXPECTED = {
    Permission.VIEW: {"owner", "admin", "developer", "viewer"},
    Permission.DEPLOY: {"owner", "admin", "developer"},
    Permission.CONFIGURE: {"owner", "admin", "developer"},
    Permission.DELETE_APP: {"owner", "admin"},
    Permission.MANAGE_MEMBERS: {"owner", "admin"},
    Permission.MANAGE_MONEY: {"owner", "admin"},
    Permission.MANAGE_ORGANIZATION: {"owner"},
}


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(Role))
def test_each_role_has_exactly_its_permissions(permission, role):
    if role.value in EXPECTED[permission]:
        require(_viewer(role), permission)
    else:
        with pytest.raises(Forbidden, match=role.value):
            require(_viewer(role), permission)


def test_a_platform_administrator_has_no_more_of_an_organization_than_his_role():
    with pytest.raises(Forbidden):
        require(_viewer(Role.VIEWER, is_platform_admin=True), Permission.DEPLOY)


def test_roles_grow_from_viewer_to_owner():
    ordered = [PERMISSIONS[role] for role in (Role.VIEWER, Role.DEVELOPER, Role.ADMIN, Role.OWNER)]
    assert all(lower < higher for lower, higher in itertools.pairwise(ordered))


@pytest.mark.parametrize("role", [Role.ADMIN, Role.DEVELOPER, Role.VIEWER])
def test_only_an_owner_grants_ownership(role):
    may_grant(_viewer(Role.OWNER), Role.OWNER)
    with pytest.raises(Forbidden):
        may_grant(_viewer(role), Role.OWNER)


def _plan() -> Plan:
    plan = Plan(slug="hobby")
    for name, value in vars(DEFAULTS["hobby"]).items():
        setattr(plan, name, list(value) if name == "features" else value)
    return plan


def test_editing_changes_just_what_is_named():
    plan = _plan()
    before = terms_of(plan)
    edit_plan(plan, changes={"price_per_hour_micro": 1})
    assert plan.price_per_hour_micro == 1
    edit_plan(plan, changes={"price_per_hour_micro": before.price_per_hour_micro})
    assert terms_of(plan) == before == DEFAULTS["hobby"]


@pytest.mark.parametrize(
    "changes", [{"max_replicas": 0}, {"price_per_hour_micro": -1}, {"features": ("magic",)}, {"name": "x" * 81}]
)
def test_terms_that_make_no_sense_are_refused_and_leave_the_plan_alone(changes):
    plan = _plan()
    with pytest.raises(Invalid):
        edit_plan(plan, changes=changes)
    assert terms_of(plan) == DEFAULTS["hobby"]
