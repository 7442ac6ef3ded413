"""Beginning a top-up, for both faces."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends

from skypanel.billing.models import Topup
from skypanel.billing.topups import Desk
from skypanel.errors import Conflict, FieldError, Invalid
from skypanel.http.context import Services
from skypanel.kit.money import from_decimal_string
from skypanel.orgs.access import Viewer

AT_ONCE = 4  # requests that wait for the provider; more of them take no thread


async def _turn() -> AsyncIterator[None]:
    yield


PaymentTurn = Annotated[None, Depends(_turn, scope="function", max_concurrency=AT_ONCE)]


def start(services: Services, viewer: Viewer, *, amount: str, key: str | None = None) -> Topup:
    """Raises Conflict (`payments_unavailable`) and what `Desk.start` does. To be called without a transaction: the
    payment provider may take its time."""
    if services.payments is None:
        raise Conflict("This platform takes no cards; ask its admin for credit.", code="payments_unavailable")
    try:
        micro = from_decimal_string(amount)
    except ValueError as error:
        raise Invalid("The amount is none.", errors=[FieldError("amount", "is no amount")]) from error
    desk = Desk(
        services.database, services.clock, services.payments, services.currency, services.topup_limits,
        page=f"{services.public_url}/wallet",
    )  # fmt: skip
    return desk.start(viewer, amount_micro=micro, key=key)
