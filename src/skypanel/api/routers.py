"""Every router of the API: one line each."""

from __future__ import annotations

from fastapi import APIRouter

from skypanel.api import activity, admin, admin_plans, auth, health, invitations, organizations

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    organizations.router,
    invitations.router,
    activity.router,
    admin.router,
    admin_plans.router,
    health.router,
)
