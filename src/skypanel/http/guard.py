"""What holds for every request: its body has a limit, its address no NUL, its answer the security headers."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from skypanel.http.problems import problem

MAX_BODY = 1_048_576
# The router sends visitors of apps that do not answer here, whatever they wanted to upload.
UNLIMITED = "/_pages/"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware. A face that sets one of the headers itself (the dashboard's own policy) wins."""

    def __init__(self, app: ASGIApp, *, max_body: int = MAX_BODY) -> None:
        self.app = app
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(UNLIMITED):
            await self.app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = None
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
            refusal = problem(400, code="bad_request", detail="NUL characters are not allowed in an address.")
        elif _declared(scope) > self.max_body:
            refusal = problem(413, code="body_too_large", detail="The request's body is larger than 1 MB.")
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
        else:
            await self.app(scope, self._limited(receive), send_guarded)

    def _limited(self, receive: Receive) -> Receive:
        read = 0

        async def receive_limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.max_body:
                raise HTTPException(413)
            return message

        return receive_limited


def _declared(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0
