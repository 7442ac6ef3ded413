"""Environment variables: set, delete, import, list and export, without ever giving a value out."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from skypanel.api.deployment_view import deployment_body
from skypanel.api.env_bodies import (
    IMPORT_DOCS,
    ChangeBody,
    EnvAnswer,
    IgnoredBody,
    ImportAnswer,
    ImportedText,
    VariableBody,
    VariablesBody,
)
from skypanel.api.target import ConfiguredApp, ViewedApp
from skypanel.apps.dotenv_files import MASK, export_text, parse
from skypanel.apps.env import EnvChange, delete_variable, rows_of, set_variables
from skypanel.apps.models import App
from skypanel.db import Session
from skypanel.http import verbs
from skypanel.http.context import Services, ServicesDep
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody
from skypanel.http.session import ReadSession, WriteSession
from skypanel.http.viewer import CurrentViewer
from skypanel.orgs.access import Viewer

router = api_router(prefix="/api/paas/apps/{id}/env", tag="environment")

Deploy = Annotated[bool, Query(description="`false` holds the change back until the next deploy, restart not included")]


@router.get("", responses=problems(404), summary="Names of the variables")
def list_variables(app: ViewedApp, session: ReadSession) -> PageBody[VariableBody]:
    """All of them: `next_cursor` is always null. Values are never given out."""
    return PageBody(items=_listed(session, app))


@router.put("", responses=problems(403, 404, 409), summary="Set and remove variables")
def set_application_variables(
    app: ConfiguredApp,
    body: VariablesBody,
    session: WriteSession,
    viewer: CurrentViewer,
    services: ServicesDep,
    deploy: Deploy = True,
) -> EnvAnswer:
    """All or nothing. A running application gets a new version of kind `env` when anything differs."""
    now = services.clock.now()
    change = set_variables(session, app=app, changes=body.vars, vault=services.vault, by=viewer.actor, now=now)
    return _answer(session, services, viewer, app, change, deploy=deploy)


@router.delete("/{key}", responses=problems(403, 404, 409), summary="Remove one variable")
def delete_application_variable(
    app: ConfiguredApp,
    key: Annotated[str, Path(max_length=255)],
    session: WriteSession,
    viewer: CurrentViewer,
    services: ServicesDep,
    deploy: Deploy = True,
) -> EnvAnswer:
    change = delete_variable(session, app=app, name=key, by=viewer.actor, now=services.clock.now())
    return _answer(session, services, viewer, app, change, deploy=deploy)


@router.post("/import", responses=problems(403, 404, 409), summary="Import a .env file", openapi_extra=IMPORT_DOCS)
def import_variables(
    app: ConfiguredApp,
    text: ImportedText,
    session: WriteSession,
    viewer: CurrentViewer,
    services: ServicesDep,
    deploy: Deploy = True,
) -> ImportAnswer:
    """Variables that the file does not name stay. Lines that are none, and reserved names, are ignored and reported."""
    parsed = parse(text)
    change = set_variables(
        session, app=app, changes=parsed.variables, vault=services.vault, by=viewer.actor, now=services.clock.now()
    )
    answer = _answer(session, services, viewer, app, change, deploy=deploy)
    ignored = [IgnoredBody.model_validate(line) for line in parsed.ignored]
    return ImportAnswer(
        items=answer.items, changed=answer.changed, deployment=answer.deployment, job_id=answer.job_id, ignored=ignored
    )


@router.get(
    "/export",
    responses={**problems(404), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_class=JSONResponse,
    summary="Names as a .env file or JSON, values masked",
)
def export_variables(
    app: ViewedApp, session: ReadSession, format: Annotated[Literal["env", "json"], Query()] = "env"
) -> Response:
    names = [row.name for row in rows_of(session, app.id)]
    if format == "json":
        return JSONResponse(dict.fromkeys(names, MASK))
    disposition = {"Content-Disposition": f'attachment; filename="{app.slug}.env"'}
    return PlainTextResponse(export_text(names), headers=disposition)


def _listed(session: Session, app: App) -> list[VariableBody]:
    return [VariableBody.model_validate(row) for row in rows_of(session, app.id)]


def _answer(
    session: Session, services: Services, viewer: Viewer, app: App, change: EnvChange, *, deploy: bool
) -> EnvAnswer:
    deployment = verbs.release_env(session, services, viewer, app, change) if deploy else None
    return EnvAnswer(
        items=_listed(session, app),
        changed=ChangeBody.of(change),
        deployment=deployment_body(session, deployment) if deployment else None,
        job_id=deployment.job_id if deployment else None,
    )
