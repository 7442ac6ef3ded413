"""Deployments: every version of an application, one of them with its progress and log, and going back to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Path, Query, Request
from fastapi.responses import PlainTextResponse, Response

from skypanel.apps.env_rows import rows_of
from skypanel.apps.models import App, EnvSnapshot
from skypanel.builds.models import Slug
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.app_page import app_view, seen_app
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.log_lines import lines_html
from skypanel.dashboard.next_steps import step_for
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.db import Session
from skypanel.deployments.models import STAGES, Deployment, DeploymentStage, Kind
from skypanel.deployments.queries import get_deployment, list_deployments, slugs_of, stages_of
from skypanel.deployments.requests import request_cancel
from skypanel.drivers.logstore.port import Query as LogQuery
from skypanel.http.context import Services, ServicesDep
from skypanel.http.paging import cursor_checked
from skypanel.http.session import ReadSession, WriteSession
from skypanel.logs.chain import Chain, streams_of
from skypanel.orgs.access import Permission, require

router = page_router()

PER_PAGE = 30
EVIDENCE = 10  # the lines that show why it failed
LINES = 1000
Version = Annotated[int, Path(ge=1, le=2**31 - 1)]


@dataclass(frozen=True)
class Bar:
    """One stage as a part of the bar: percent of the whole time, and how long it took in seconds."""

    name: str
    status: str
    begin: float
    width: float
    seconds: float


@router.get("/apps/{id}/deployments")
def show_deployments(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: ReadSession,
    services: ServicesDep,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
) -> Response:
    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        with cursor_checked():
            page = list_deployments(session, app=app, limit=PER_PAGE, cursor=cursor)
        return app_view(
            session,
            services,
            app,
            "app/deployments.html",
            tab="deployments",
            deployments=page.items,
            slugs=slugs_of(session, [deployment.slug_id for deployment in page.items]),
            next_cursor=page.next_cursor,
            first_page=cursor is None,
            evidence={
                deployment.id: _log_of(services, deployment).newest(EVIDENCE)[0]
                for deployment in page.items
                if deployment.status == "failed"
            },
            step_for=step_for,
            lines_html=lines_html,
        )

    return live_page(request, account, session, load)


@router.get("/apps/{id}/deployments/{version}")
def show_deployment(
    request: Request, id: str, version: Version, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        deployment = get_deployment(session, app=app, version=version)
        log = _log_of(services, deployment)
        lines, older = log.newest(LINES)
        stages = stages_of(session, [deployment.id])[deployment.id]

        def follow(after: str | None):  # type: ignore[no-untyped-def]  # as View.follow
            query = LogQuery(after=after)
            log.check(query)
            return log.follow(query, idle_s=5)

        return app_view(
            session,
            services,
            app,
            "app/deployment.html",
            tab="deployments",
            topics=frozenset({f"deployment:{deployment.id}"}),
            follow=follow,
            deployment=deployment,
            slug=slugs_of(session, [deployment.slug_id]).get(deployment.slug_id or ""),
            bars=bars_of(stages, services.clock.now()),
            waiting=[name for name in STAGES if name not in {stage.name for stage in stages}],
            seconds_taken=_seconds(deployment, services.clock.now()),
            lines=lines,
            older=older,
            lines_html=lines_html,
            evidence=lines[-EVIDENCE:],
            step=step_for(deployment.reason_code),
        )

    return live_page(request, account, session, load)


@router.get("/apps/{id}/deployments/{version}/log.txt")
def download_log(
    id: str, version: Version, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    """The whole log; builds may print no more than the operator's limit."""
    app = seen_app(session, account, id)
    lines, _ = _log_of(services, get_deployment(session, app=app, version=version)).newest(1_000_000)
    name = f"{app.slug}-v{version}.log"
    text = "".join(f"{line.entry.message}\n" for line in lines)
    return PlainTextResponse(text, headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.get("/apps/{id}/deployments/{version}/rollback")
def confirm_rollback(
    request: Request, id: str, version: Version, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        require(account.viewer, Permission.DEPLOY)
        target = get_deployment(session, app=app, version=version)
        current = session.get(Deployment, app.current_deployment_id) if app.current_deployment_id else None
        slugs = slugs_of(session, [target.slug_id, current.slug_id if current else None])
        return app_view(
            session,
            services,
            app,
            "app/rollback.html",
            tab="deployments",
            target=target,
            current=current,
            kept=(target.slug_id in slugs and slugs[target.slug_id].removed_at is None) if target.slug_id else False,
            processes=_processes_changed(
                slugs.get(current.slug_id or "") if current else None, slugs.get(target.slug_id or "")
            ),
            variables=_variables_changed(session, app, target),
            last_rollback=_last_rollback(session, app),
        )

    return live_page(request, account, session, load)


@router.post("/apps/{id}/deployments/{version}/cancel", dependencies=[OwnForm])
def cancel(
    id: str, version: Version, account: CurrentAccount, session: WriteSession, services: ServicesDep
) -> Response:
    app = seen_app(session, account, id)
    require(account.viewer, Permission.DEPLOY)
    deployment = get_deployment(session, app=app, version=version)
    request_cancel(session, deployment=deployment, by=account.viewer.actor, now=services.clock.now())
    told = f"Cancelling version {version}: it ends when its work has really stopped."
    return tell(see(f"/apps/{app.slug}/deployments/{version}"), services, told)


def bars_of(stages: Sequence[DeploymentStage], now: datetime) -> list[Bar]:
    """Stages in proportion to the time they took; one that runs has taken until `now`."""
    lengths = [max(0.0, ((stage.finished_at or now) - stage.started_at).total_seconds()) for stage in stages]
    whole = sum(lengths) or 1.0
    bars, begin = [], 0.0
    for stage, length in zip(stages, lengths, strict=True):
        width = 100 * length / whole
        bars.append(Bar(stage.name, stage.status, round(begin, 2), round(width, 2), length))
        begin += width
    return bars


def _log_of(services: Services, deployment: Deployment) -> Chain:
    return Chain(services.logs, streams_of(deployment))


def _seconds(deployment: Deployment, now: datetime) -> float:
    return ((deployment.finished_at or now) - deployment.created_at).total_seconds()


def _processes_changed(current: Slug | None, target: Slug | None) -> list[tuple[str, str]]:
    """Process type and what happens to it."""
    before, after = (slug.process_types if slug else {} for slug in (current, target))
    changed = []
    for name in sorted({*before, *after}):
        if name not in after:
            changed.append((name, "is not in that version"))
        elif name not in before:
            changed.append((name, "comes back"))
        elif before[name] != after[name]:
            changed.append((name, f"becomes {after[name]}"))
    return changed


def _variables_changed(session: Session, app: App, target: Deployment) -> list[tuple[str, str]]:
    """Names that differ between that release's variables and today's; of values only that they were set later."""
    kept = session.get(EnvSnapshot, target.env_snapshot_id) if target.env_snapshot_id else None
    if kept is None:
        return []
    now = {row.name: row for row in rows_of(session, app.id)}
    changed = [(name, "was removed since") for name in kept.names if name not in now]
    changed += [(name, "was added since") for name in now if name not in kept.names]
    changed += [
        (row.name, "was set since")
        for row in now.values()
        if row.name in kept.names and row.updated_at > kept.created_at
    ]
    return sorted(changed)


def _last_rollback(session: Session, app: App) -> Deployment | None:
    recent = list_deployments(session, app=app, limit=50, cursor=None).items
    done = (one for one in recent if one.kind == Kind.ROLLBACK and one.duration_ms is not None)
    return next(done, None)
