"""Environment variables: names and when they changed, never a value; set one, many, or a `.env` file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import File, Form, Request, UploadFile
from fastapi.responses import PlainTextResponse, Response

from skypanel.apps.dotenv_files import MAX_FILE_BYTES, Ignored, export_text, parse
from skypanel.apps.env import EnvChange, rows_of, set_variables
from skypanel.apps.models import App, EnvSnapshot
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.app_page import app_view, seen_app
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.live import View, live_page
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.db import Session
from skypanel.deployments.models import Deployment
from skypanel.errors import FieldError, Invalid
from skypanel.http import verbs
from skypanel.http.context import Services, ServicesDep
from skypanel.http.session import ReadSession, WriteSession
from skypanel.orgs.access import Permission, require

router = page_router()

INJECTED = (
    ("PORT", "where a web process listens"),
    ("DYNO", "web.1, worker.2, …"),
    ("PS", "web, worker, …"),
    ("SKYPANEL_APP", "this application’s name"),
    ("SKYPANEL_RELEASE", "the version, such as v7"),
    ("SOURCE_VERSION", "the commit"),
)
Deploy = Annotated[bool, Form()]


class _Undo(Exception):
    """Ends a trial, so that nothing of it is kept."""


@dataclass(frozen=True)
class Trial:
    """What a text would change, in names only."""

    text: str
    change: EnvChange
    ignored: tuple[Ignored, ...]


@router.get("/apps/{id}/environment")
def show_environment(
    request: Request, id: str, account: CurrentAccount, session: ReadSession, services: ServicesDep
) -> Response:
    return _page(request, account, session, services, id)


@router.get("/apps/{id}/environment/export")
def export_environment(id: str, account: CurrentAccount, session: ReadSession) -> Response:
    app = seen_app(session, account, id)
    disposition = {"Content-Disposition": f'attachment; filename="{app.slug}.env"'}
    return PlainTextResponse(export_text([row.name for row in rows_of(session, app.id)]), headers=disposition)


@router.post("/apps/{id}/environment", dependencies=[OwnForm])
def set_one(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    name: Annotated[str, Form(max_length=400)],
    value: Annotated[str, Form()] = "",
    deploy: Deploy = False,
) -> Response:
    app = _configured(session, account, id)
    # A browser sends line ends as CRLF; no variable means them so.
    changes = {name.strip(): value.replace("\r\n", "\n")}
    done, refused = attempt(session, lambda: _set(session, services, account, app, changes, deploy=deploy))
    if done is None:
        at = Refused(refused.status, refused.problem, {"name": next(iter(refused.fields.values()), "")})
        return _page(request, account, session, services, id, refused=at, name=name)
    return _told(services, app, *done)


@router.post("/apps/{id}/environment/delete", dependencies=[OwnForm])
def delete_one(
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    name: Annotated[str, Form(max_length=400)],
    deploy: Deploy = False,
) -> Response:
    app = _configured(session, account, id)
    return _told(services, app, *_set(session, services, account, app, {name: None}, deploy=deploy))


@router.post("/apps/{id}/environment/import", dependencies=[OwnForm])
def import_text(
    request: Request,
    id: str,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    step: Annotated[Literal["preview", "apply"], Form()],
    text: Annotated[str, Form()] = "",
    file: Annotated[UploadFile | None, File()] = None,
    deploy: Deploy = False,
) -> Response:
    """A text typed or pasted, or a file; first shown as what it would change, then applied."""
    app = _configured(session, account, id)

    def given() -> str:
        if content is None:
            return text.replace("\r\n", "\n")
        if len(content) > MAX_FILE_BYTES:
            raise Invalid(f"The file has more than {MAX_FILE_BYTES // 1024} KB.", code="env_too_large")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            problem = [FieldError("file", "is no text in UTF-8")]
            raise Invalid("The file is no text in UTF-8.", code="env_file_invalid", errors=problem) from None

    content = file.file.read() if file is not None and file.filename else None

    def try_it() -> Trial:
        parsed = parse(given())
        return Trial(given(), _trial(session, services, account, app, parsed.variables), parsed.ignored)

    def apply() -> tuple[EnvChange, Deployment | None]:
        return _set(session, services, account, app, parse(given()).variables, deploy=deploy)

    if step == "preview":
        trial, refused = attempt(session, try_it)
        return _page(request, account, session, services, id, refused=refused, trial=trial, text=text)
    done, refused = attempt(session, apply)
    if done is None:
        return _page(request, account, session, services, id, refused=refused, text=text)
    return _told(services, app, *done)


@router.post("/apps/{id}/environment/release", dependencies=[OwnForm])
def release_held_back(id: str, account: CurrentAccount, session: WriteSession, services: ServicesDep) -> Response:
    """Brings changes that were held back to what runs."""
    app = _configured(session, account, id)
    changed = EnvChange(updated=("held back",))
    return _told(services, app, changed, verbs.release_env(session, services, account.viewer, app, changed))


def _configured(session: Session, account: Account, id: str) -> App:
    app = seen_app(session, account, id)
    require(account.viewer, Permission.CONFIGURE)
    return app


def _set(
    session: Session,
    services: Services,
    account: Account,
    app: App,
    changes: Mapping[str, str | None],
    *,
    deploy: bool,
) -> tuple[EnvChange, Deployment | None]:
    change = set_variables(
        session, app=app, changes=changes, vault=services.vault, by=account.viewer.actor, now=services.clock.now()
    )
    return change, verbs.release_env(session, services, account.viewer, app, change) if deploy else None


def _trial(
    session: Session, services: Services, account: Account, app: App, changes: Mapping[str, str | None]
) -> EnvChange:
    """By really doing it, in a part of the transaction that is taken back."""
    change = EnvChange()
    try:
        with session.begin_nested():
            change, _ = _set(session, services, account, app, changes, deploy=False)
            raise _Undo
    except _Undo:
        return change


def _told(services: Services, app: App, change: EnvChange, deployment: Deployment | None) -> Response:
    if deployment is not None:
        return see(f"/apps/{app.slug}/deployments/{deployment.version}")
    if not change:
        told = "Nothing differs from what was set."
    elif app.current_deployment_id is None:
        told = f"{change.sentence().capitalize()}. The first deployment takes it."
    else:
        told = f"{change.sentence().capitalize()}. What runs now gets it with the next version."
    return tell(see(f"/apps/{app.slug}/environment"), services, told)


def _page(
    request: Request,
    account: Account,
    session: Session,
    services: Services,
    id: str,
    *,
    refused: Refused | None = None,
    trial: Trial | None = None,
    name: str = "",
    text: str = "",
) -> Response:
    refused = refused or Refused()

    def load(session: Session, account: Account) -> View:
        app = seen_app(session, account, id)
        return app_view(
            session,
            services,
            app,
            "app/environment.html",
            tab="environment",
            variables=rows_of(session, app.id),
            held_back=_held_back(session, app),
            injected=INJECTED,
            refused=refused,
            problem=refused.problem,
            trial=trial,
            given_name=name,
            given_text=trial.text if trial else text,
        )

    return live_page(request, account, session, load, status=refused.status)


def _held_back(session: Session, app: App) -> list[str]:
    """Names that what runs does not know as they are now."""
    serving = session.get(Deployment, app.current_deployment_id) if app.current_deployment_id else None
    kept = session.get(EnvSnapshot, serving.env_snapshot_id) if serving and serving.env_snapshot_id else None
    if kept is None:
        return []
    rows = {row.name: row for row in rows_of(session, app.id)}
    changed = {name for name, row in rows.items() if name not in kept.names or row.updated_at > kept.created_at}
    return sorted(changed | (set(kept.names) - rows.keys()))
