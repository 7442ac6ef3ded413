"""The errors a caller may see. Rooms derive their own beside the verb that raises them.

    SkyPanelError
    ├── Invalid          422  the request is understood and wrong; `errors` names the fields
    ├── Unauthenticated  401  who are you?
    ├── Forbidden        403  your role does not allow it (never used for what is not yours: that is NotFound)
    ├── NotFound         404
    ├── Conflict         409  the state of the thing does not allow it now
    ├── TooMany          429  with `retry_after_s`
    └── Unavailable      503  something the platform needs is away; try again

`code` is stable and documented in docs/reference/errors.md; `detail` is one sentence that says what to do.
Rendered as RFC 9457 problem details.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    field: str
    message: str


class SkyPanelError(Exception):
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong on our side"
    code: str = "internal"

    def __init__(self, detail: str, *, code: str | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        if code is not None:
            self.code = code
        self.errors = tuple(errors)


class Invalid(SkyPanelError):
    status = 422
    title = "The request is not valid"
    code = "invalid"


class Unauthenticated(SkyPanelError):
    status = 401
    title = "Sign in first"
    code = "unauthenticated"


class Forbidden(SkyPanelError):
    status = 403
    title = "Your role does not allow this"
    code = "forbidden"


class NotFound(SkyPanelError):
    status = 404
    title = "Not found"
    code = "not_found"


class Conflict(SkyPanelError):
    status = 409
    title = "Not possible in the present state"
    code = "conflict"


class TooMany(SkyPanelError):
    status = 429
    title = "Too many requests"
    code = "too_many"

    def __init__(self, detail: str, *, retry_after_s: int, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(SkyPanelError):
    status = 503
    title = "Not available right now"
    code = "unavailable"
