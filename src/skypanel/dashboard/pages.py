"""Rendering: templates that escape everything, and the headers of a page."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from skypanel.dashboard.cookies import VISIT, form_token, new_visit, set_cookie, subject_of
from skypanel.http.context import services
from skypanel.kit.clock import rfc3339
from skypanel.kit.money import to_decimal_string

STYLES = (Path(__file__).parent / "static" / "skypanel.css").read_bytes()
STYLES_PATH = f"/assets/{hashlib.sha256(STYLES).hexdigest()[:16]}/skypanel.css"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def ago(moment: datetime, now: datetime) -> str:
    """`"5 min ago"`: what a person reads at a glance; the exact time stands in the element's title."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"


templates = Environment(
    loader=PackageLoader("skypanel.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(ago=ago, rfc3339=rfc3339, money=to_decimal_string)
templates.globals.update(styles=STYLES_PATH)


def page(
    request: Request, name: str, *, status: int = 200, refresh_s: int | None = None, **context: object
) -> Response:
    """A page. A visitor without any cookie gets one, because its forms need it."""
    platform = services(request)
    subject = subject_of(request)
    visit = new_visit() if subject is None else None
    content = templates.get_template(name).render(
        token=form_token(platform, subject or visit or ""),
        now=platform.clock.now(),
        refresh_s=refresh_s,
        **{"account": None, **context},
    )
    response = HTMLResponse(content, status_code=status, headers=HEADERS)
    if visit is not None:
        set_cookie(response, platform, VISIT, visit)
    return response
