"""The one address that a payment provider sends messages to: no session and no cookie, a signature instead.

Not in the API's description: nobody else may speak it.
"""

from __future__ import annotations

import anyio
from fastapi import APIRouter, Request, Response

from skypanel.billing.cashier import receive
from skypanel.drivers.payments.port import Event, NotGenuine, PaymentsRefused
from skypanel.http.context import Services, ServicesDep
from skypanel.http.problems import problem

router = APIRouter()
LARGEST = 256 * 1024  # the largest of a payment have a tenth of it
THREADS = anyio.CapacityLimiter(4)  # of its own: messages that wait for the database take none from requests


@router.post("/api/hooks/stripe", include_in_schema=False)
async def receive_payment_event(request: Request, services: ServicesDep) -> Response:
    """200 only when the message is committed: Stripe sends it again until then. Nothing is looked up, and no thread or
    transaction taken, before the signature is known to be right."""
    payments = services.payments
    if payments is None:
        return Response(status_code=404)
    body = await _body(request)
    if body is None:
        return problem(413, code="body_too_large", detail="The message is larger than any of a payment.")
    try:
        payments.verify(body, request.headers, now=services.clock.now())
        event = payments.read(body)
    except (NotGenuine, PaymentsRefused) as error:
        return problem(400, code="signature_wrong", detail=f"This is no message that is taken here: {error}.")
    await anyio.to_thread.run_sync(_keep, services, event, body.decode(), limiter=THREADS)
    return Response(status_code=200)


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _keep(services: Services, event: Event, payload: str) -> None:
    with services.database.transaction() as session:
        receive(session, event, payload, now=services.clock.now())
