"""Top-ups of the wallet by card."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import Field

from skypanel.billing.models import Topup, TopupState
from skypanel.billing.topups import list_topups
from skypanel.errors import Unauthenticated
from skypanel.http.context import ClientAddress, ServicesDep
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import Amount, PageBody, RequestBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession
from skypanel.http.topups import AT_ONCE, PaymentTurn, start
from skypanel.http.viewer import CurrentViewer, bearer, identify
from skypanel.kit.money import to_decimal_string
from skypanel.orgs.access import Permission, Viewer, require
from skypanel.orgs.membership import the_viewer

router = api_router(prefix="/api/paas/wallet", tag="wallet")


class TopupRequest(RequestBody):
    amount: str = Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,6})?$", examples=["25.00"], description="In the currency")


class TopupStarted(ResponseBody):
    id: str
    url: str = Field(description="Where it is paid, within a day", examples=["https://checkout.stripe.com/c/pay/cs_…"])


class TopupBody(ResponseBody):
    id: str
    amount: Amount
    currency: str = Field(examples=["USD"])
    state: Literal["new", "open", "paid", "failed", "expired"]
    refunded: Amount
    created_by: str
    created_at: Timestamp
    settled_at: Timestamp | None = Field(description="When its state became final")
    url: str | None = Field(description="Where an open one is paid; only for those who may")


def short_viewer(
    request: Request,
    services: ServicesDep,
    address: ClientAddress,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    organization: Annotated[str | None, Header(alias="X-Organization-Id", max_length=60)] = None,
) -> Viewer:
    """As `CurrentViewer`, in a transaction of its own: the one of the request would be held, and on SQLite every writer
    with it, while the payment provider takes its time."""
    if credentials is None:
        raise Unauthenticated("This needs `Authorization: Bearer <token>`. Sign in to get one.")
    with services.database.transaction() as session:
        user = identify(request, session, credentials.credentials).user
        return the_viewer(session, user=user, organization=organization, address=address)


@router.post("/topup", responses=problems(403, 404, 409, 429, 503), summary="Begin to pay into the wallet by card")
def start_topup(
    body: TopupRequest,
    request: Request,
    viewer: Annotated[Viewer, Depends(short_viewer, max_concurrency=AT_ONCE)],
    services: ServicesDep,
    _: PaymentTurn,
) -> TopupStarted:
    """Answers with the address where the amount is paid. The money is in the wallet once the payment provider's message
    of it has come, as a rule in seconds; where none comes, once the platform asks, ten minutes after this or later."""
    require(viewer, Permission.MANAGE_MONEY)
    key = request.headers.get("idempotency-key")
    # A key of this route is the top-up's own: it holds although the request has no transaction of its own.
    digest = None if key is None else _digest(viewer.user_id, viewer.organization_id, key)
    topup = start(services, viewer, amount=body.amount, key=digest)
    assert topup.url is not None
    return TopupStarted(id=topup.id, url=topup.url)


@router.get("/topups", responses=problems(404), summary="Top-ups by card, newest first")
def list_wallet_topups(session: ReadSession, viewer: CurrentViewer, page: PagingDep) -> PageBody[TopupBody]:
    require(viewer, Permission.VIEW)
    with cursor_checked():
        found = list_topups(session, viewer.organization_id, limit=page.limit, cursor=page.cursor)
    payable = viewer.may(Permission.MANAGE_MONEY)
    return page_body(found, lambda topup: _body(topup, payable=payable))


def _body(topup: Topup, *, payable: bool) -> TopupBody:
    return TopupBody(
        id=topup.id,
        amount=to_decimal_string(topup.amount_micro),
        currency=topup.currency,
        state=TopupState(topup.state).value,
        refunded=to_decimal_string(topup.refunded_micro),
        created_by=topup.created_by,
        created_at=topup.created_at,
        settled_at=topup.settled_at,
        url=topup.url if payable and topup.state == "open" else None,
    )


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()
