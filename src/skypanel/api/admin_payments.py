"""Messages of the payment provider, for whoever has to look at those that do not fit."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from skypanel.billing.cashier import list_events
from skypanel.billing.models import Outcome, PaymentEvent
from skypanel.http.paging import PagingDep, cursor_checked
from skypanel.http.problems import problems
from skypanel.http.route import api_router
from skypanel.http.schema import PageBody, ResponseBody, Timestamp, page_body
from skypanel.http.session import ReadSession
from skypanel.http.viewer import PlatformAdmin

router = api_router(prefix="/api/admin/paas", tag="admin")
OutcomeName = Literal["entered", "noted", "ignored", "flagged"]


class PaymentEventBody(ResponseBody):
    id: str = Field(examples=["evt_1Pgc76B7WZ01zgkWwyRHS12y"])
    kind: str = Field(examples=["checkout.session.completed"])
    received_at: Timestamp
    handled_at: Timestamp | None
    outcome: OutcomeName | None = Field(description="Null: it waits for the payment that it speaks of")
    note: str | None = Field(description="Why it was flagged or ignored")


@router.get("/payment-events", responses=problems(403), summary="Messages of the payment provider, newest first")
def list_payment_events(
    session: ReadSession,
    _admin: PlatformAdmin,
    page: PagingDep,
    outcome: Annotated[OutcomeName | None, Query(description="Only these")] = None,
) -> PageBody[PaymentEventBody]:
    wanted = None if outcome is None else Outcome(outcome)
    with cursor_checked():
        found = list_events(session, outcome=wanted, limit=page.limit, cursor=page.cursor)
    return page_body(found, _body)


def _body(event: PaymentEvent) -> PaymentEventBody:
    return PaymentEventBody(
        id=event.id,
        kind=event.kind,
        received_at=event.received_at,
        handled_at=event.handled_at,
        outcome=None if event.outcome is None else Outcome(event.outcome).value,
        note=event.note,
    )
