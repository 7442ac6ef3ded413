"""One sentence that the next page shows: what the form before it did. A cookie, signed, so that no sibling domain
can put words in our mouth; shown once."""

from __future__ import annotations

import base64
import binascii
import hmac

from fastapi import Request, Response

from skypanel.dashboard.cookies import form_token, set_cookie
from skypanel.http.context import Services, services

NOTICE = "skypanel_notice"
_KEPT_S = 60
_LONGEST = 600


def tell(response: Response, platform: Services, text: str) -> Response:
    """`response` leads to the page that will show `text`."""
    content = base64.urlsafe_b64encode(text[:_LONGEST].encode()).decode()
    set_cookie(response, platform, NOTICE, f"{content}.{_signature(platform, content)}", max_age_s=_KEPT_S)
    return response


def read_notice(request: Request) -> str | None:
    content, _, signature = request.cookies.get(NOTICE, "").partition(".")
    if not content or not hmac.compare_digest(signature.encode(), _signature(services(request), content).encode()):
        return None
    try:
        return base64.urlsafe_b64decode(content).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _signature(platform: Services, content: str) -> str:
    return form_token(platform, f"notice {content}")
