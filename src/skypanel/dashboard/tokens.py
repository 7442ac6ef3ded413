"""API tokens of the signed-in person, for programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Form, Request
from fastapi.responses import Response

from skypanel.accounts.tokens import create_token, list_tokens, revoke_token
from skypanel.dashboard.account import Account, CurrentAccount
from skypanel.dashboard.cookies import OwnForm
from skypanel.dashboard.forms import Refused, attempt
from skypanel.dashboard.notices import tell
from skypanel.dashboard.page_route import page_router, see
from skypanel.dashboard.pages import page
from skypanel.db import Session
from skypanel.http.context import ServicesDep
from skypanel.http.session import ReadSession, WriteSession

router = page_router()

SHOWN = 500


@router.get("/tokens")
def show_tokens(request: Request, account: CurrentAccount, session: ReadSession) -> Response:
    return _page(request, account, session)


@router.post("/tokens", dependencies=[OwnForm])
def make_token(
    request: Request,
    account: CurrentAccount,
    session: WriteSession,
    services: ServicesDep,
    name: Annotated[str, Form(max_length=200)],
    days: Annotated[Literal["30", "90", "365", ""], Form()] = "",
) -> Response:
    """The token is shown this once."""
    now = services.clock.now()
    expires_at = now + timedelta(days=int(days)) if days else None
    made, refused = attempt(
        session, lambda: create_token(session, user_id=account.user.id, name=name, expires_at=expires_at, now=now)
    )
    shown = made.token.reveal() if made else None
    return _page(request, account, session, refused=refused, made=shown, name="" if made else name)


@router.post("/tokens/revoke", dependencies=[OwnForm])
def revoke(
    account: CurrentAccount, session: WriteSession, services: ServicesDep, token_id: Annotated[str, Form(max_length=60)]
) -> Response:
    revoke_token(session, user_id=account.user.id, token_id=token_id, now=services.clock.now())
    return tell(see("/tokens"), services, "Revoked. Programs that use it are refused from now on.")


def _page(
    request: Request,
    account: Account,
    session: Session,
    *,
    refused: Refused | None = None,
    made: str | None = None,
    name: str = "",
) -> Response:
    refused = refused or Refused()
    return page(
        request,
        "tokens.html",
        status=refused.status,
        account=account,
        problem=refused.problem,
        refused=refused,
        tokens=list_tokens(session, user_id=account.user.id, limit=SHOWN, cursor=None).items,
        made=made,
        name=name,
    )
