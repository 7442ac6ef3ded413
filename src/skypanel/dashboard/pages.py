"""Rendering: templates that escape everything, the headers of a page, and the regions of it that stay live."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from skypanel.dashboard.assets import asset
from skypanel.dashboard.cookies import VISIT, form_token, new_visit, set_cookie, subject_of
from skypanel.dashboard.notices import NOTICE, read_notice
from skypanel.http.context import services
from skypanel.kit.clock import rfc3339
from skypanel.kit.money import HOURS_PER_MONTH, MICRO, to_decimal_string

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Vary": "Accept, Cookie",
}
_TIMES = re.compile(r"(<time\b[^>]*>)[^<]*</time>")  # "5 min ago" grows old in the browser, which is no change


@dataclass(frozen=True)
class Region:
    """A part of a page that the page's event stream replaces when it changes. `mark` changes with its content."""

    mark: str
    html: str


@dataclass
class Rendered:
    html: str = ""
    regions: dict[str, Region] = field(default_factory=dict)  # by element id


def ago(moment: datetime, now: datetime) -> str:
    """`"5 min ago"`: what a person reads at a glance; the exact time stands in the element's title."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"


def seconds_shown(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def bytes_shown(size: int) -> str:
    """`12 kB`, `3.4 MB`."""
    value = float(size)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def cpu_shown(millis: int) -> str:
    """`0.5`, `4`: in cores."""
    return f"{millis / 1000:g}"


def memory_shown(mib: int) -> str:
    """`0`, `512 MB`, `7.6 GB`."""
    if mib == 0:
        return "0"
    return f"{mib} MB" if mib < 1024 else f"{round(mib / 1024, 1):g} GB"


def rounded_money(micro: int) -> str:
    """`12.34`: for a glance; cut off and not rounded up, so that nobody counts on what is not there."""
    if abs(micro) < 10_000:
        return to_decimal_string(micro)
    cents = abs(micro) // 10_000
    return f"{'-' if micro < 0 else ''}{cents // 100}.{cents % 100:02d}"


def hours_shown(hours: int) -> str:
    """`1 hour`, `59 hours`, `12 days`: how long a wallet lasts."""
    if hours > 96:
        return f"{hours // 24:,} days".replace(",", " ")
    return "1 hour" if hours == 1 else f"{hours} hours"


def grouped(number: int) -> str:
    """`2 700`, with spaces that do not break."""
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")


def hour_named(moment: datetime) -> str:
    """`2026-05-01 12:00`: an hour of UTC by its beginning."""
    return moment.strftime("%Y-%m-%d %H:%M")


def amount_shown(micro: Fraction) -> str:
    """Of a part of a sum, which need not be whole micro-units: `0.005175`, or as many digits as tell it apart."""
    exact = micro / MICRO
    text = f"{float(exact):.9f}".rstrip("0")
    return text if Fraction(text) == exact else f"{float(exact):.9f}…"


def author_shown(author: str) -> str:
    """`Ann Lee` of `Ann Lee <ann@example.org>`."""
    return author.partition(" <")[0]


def inline_code(text: str) -> Markup:
    """Our own sentences hold `names` in backquotes."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


@pass_context
def region(context: Context, name: str, id: str) -> Markup:
    """The template `name`, rendered into an element that the page's event stream keeps up to date."""
    html = templates.get_template(name).render(context.get_all())
    mark = hashlib.sha256(_TIMES.sub(r"\1", html).encode()).hexdigest()[:12]
    rendered: Rendered = context["rendered"]
    rendered.regions[id] = Region(mark, html)
    return Markup('<div id="{}" data-live="{}">{}</div>').format(id, mark, Markup(html))  # noqa: S704  ours, escaped


templates = Environment(
    loader=PackageLoader("skypanel.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
templates.filters.update(
    ago=ago,
    amount=amount_shown,
    author=author_shown,
    bytes=bytes_shown,
    cpu=cpu_shown,
    grouped=grouped,
    hour=hour_named,
    hours=hours_shown,
    inline_code=inline_code,
    memory=memory_shown,
    money=to_decimal_string,
    rfc3339=rfc3339,
    rounded_money=rounded_money,
    seconds=seconds_shown,
)
templates.globals.update(asset=asset, region=region, hours_per_month=HOURS_PER_MONTH)


_NONE: dict[str, object] = {"account": None, "notice": None, "problem": None}


def render(request: Request, name: str, context: Mapping[str, object], *, subject: str) -> Rendered:
    platform = services(request)
    rendered = Rendered()
    rendered.html = templates.get_template(name).render(
        token=form_token(platform, subject),
        now=platform.clock.now(),
        path=request.url.path,
        rendered=rendered,
        **{**_NONE, "public_url": platform.public_url, "currency": platform.currency, **context},
    )
    return rendered


def page(
    request: Request,
    name: str,
    /,
    *,
    status: int = 200,
    context: Mapping[str, object] | None = None,
    **more: object,
) -> Response:
    """A page. A visitor without any cookie gets one, because its forms need it."""
    platform = services(request)
    subject = subject_of(request)
    visit = new_visit() if subject is None else None
    notice = read_notice(request)
    rendered = render(request, name, {"notice": notice, **(context or {}), **more}, subject=subject or visit or "")
    response = HTMLResponse(rendered.html, status_code=status, headers=HEADERS)
    if visit is not None:
        set_cookie(response, platform, VISIT, visit)
    if notice is not None:
        response.delete_cookie(NOTICE, path="/")
    return response
