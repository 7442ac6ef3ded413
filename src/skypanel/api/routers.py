"""Every router of the API: one line each."""

from __future__ import annotations

from fastapi import APIRouter

from skypanel.api import (
    activity,
    admin,
    admin_money,
    admin_nodes,
    admin_payments,
    admin_plans,
    apps,
    auth,
    deployments,
    edges,
    env,
    health,
    hooks,
    invitations,
    jobs,
    logs,
    operations,
    organizations,
    plans,
    prices,
    runs,
    topups,
    usage,
    wallet,
)

ROUTERS: tuple[APIRouter, ...] = (
    auth.router,
    organizations.router,
    invitations.router,
    activity.router,
    apps.router,
    env.router,
    deployments.router,
    operations.router,
    runs.router,
    logs.router,
    plans.router,
    prices.router,
    usage.router,
    wallet.router,
    jobs.router,
    admin.router,
    admin_money.router,
    admin_plans.router,
    admin_nodes.router,
    admin_payments.router,
    health.router,
    edges.router,
    topups.router,
    hooks.router,
)
