"""What a visitor sees where no application answers. The router sends him to `/_pages/…`: any method, any path below.

    /_pages/404[/…]          no application has this host name
    /_pages/503/<why>[/…]    its application does not answer just now: stopped, suspended, crashed, deploying

Each page is one small document without any request to another host or file.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send


@dataclass(frozen=True)
class PageText:
    status: int
    title: str
    sentence: str  # `{host}` is the host name the visitor asked for
    hint: str
    retry_after_s: int | None = None


UNKNOWN = PageText(
    404,
    "Nothing is here",
    "No application answers at {host}.",
    "Check the address for a typing error. If this is your application, look up its address in the dashboard.",
)
NO_PAGE = PageText(
    404, "There is no such page", "{host} has nothing at this address.", "Its first page leads to everything else."
)
PAGES = {
    "stopped": PageText(
        503, "This application is stopped", "{host} was stopped by its owner.",
        "If this is your application, restart it from the dashboard or with “skypanel restart”.", 60,
    ),
    "suspended": PageText(
        503, "This application is suspended", "{host} is not being served at the moment.",
        "If this is your application, the dashboard says why and what to do.", 300,
    ),
    "crashed": PageText(
        503, "This application is not running", "{host} keeps ending right after it starts.",
        "If this is your application, its log has the reason: “skypanel logs”.", 30,
    ),
    "deploying": PageText(
        503, "This application is starting", "{host} is being deployed and will answer in a moment.",
        "Reload this page in a few seconds.", 5,
    ),
}  # fmt: skip

_STYLE = """
:root{color-scheme:light dark}
body{margin:0;min-height:100vh;display:grid;place-items:center;
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;background:#f6f7f9;color:#1c2330}
main{max-width:32rem;padding:2rem 1.5rem}
.status{margin:0;color:#5b6579;font-variant-numeric:tabular-nums}
h1{margin:.25rem 0 .75rem;font-size:1.6rem;line-height:1.25}
p{margin:.5rem 0;overflow-wrap:anywhere}
.hint{color:#5b6579}
@media (prefers-color-scheme:dark){body{background:#12151b;color:#e7eaf0}.status,.hint{color:#9aa4b6}}
"""


def render(page: PageText, *, host: str) -> str:
    sentence = escape(page.sentence).replace("{host}", f"<strong>{escape(host)}</strong>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style></head><body><main>"
        f'<p class="status">{page.status}</p><h1>{escape(page.title)}</h1>'
        f'<p>{sentence}</p><p class="hint">{escape(page.hint)}</p></main></body></html>'
    )


def answer(page: PageText, *, host: str) -> Response:
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    if page.retry_after_s is not None:
        headers["Retry-After"] = str(page.retry_after_s)
    content = render(page, host=host[:253])
    return Response(content, status_code=page.status, media_type="text/html", headers=headers)


async def pages_app(scope: Scope, receive: Receive, send: Send) -> None:
    """An ASGI application to mount at `/_pages`."""
    if scope["type"] != "http":  # a WebSocket to a stopped app: refused before it is accepted
        await receive()
        await send({"type": "websocket.close", "code": 1013})
        return
    page = _chosen(scope["path"].removeprefix(scope.get("root_path", "")))
    response = answer(page, host=Headers(scope=scope).get("host", "this address"))
    await response(scope, receive, send)


def _chosen(path: str) -> PageText:
    parts = path.strip("/").split("/")
    if len(parts) >= 2 and parts[0] == "503":
        return PAGES.get(parts[1], PAGES["crashed"])
    return UNKNOWN
