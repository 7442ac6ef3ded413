"""Exit codes that scripts can use; documented in docs/reference/cli.md (a test compares)."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    ERROR = 1  # anything else that went wrong
    USAGE = 2  # the command line is wrong, or the platform found the values wrong
    NOT_FOUND = 3
    DENIED = 4  # not signed in, or your role does not allow it
    CONFLICT = 5  # not possible in the present state, or too many requests
    FAILED = 6  # a deployment that was followed failed or was cancelled
    UNREACHABLE = 7  # the platform does not answer


BY_STATUS = {
    400: Exit.USAGE, 401: Exit.DENIED, 403: Exit.DENIED, 404: Exit.NOT_FOUND, 409: Exit.CONFLICT, 422: Exit.USAGE,
    429: Exit.CONFLICT, 502: Exit.UNREACHABLE, 503: Exit.UNREACHABLE, 504: Exit.UNREACHABLE,
}  # fmt: skip


class CliError(Exception):
    """Ends the command with one line on standard error."""

    def __init__(self, message: str, *, exit_code: Exit = Exit.ERROR, problem: object = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.problem = problem  # the API's problem details, printed as they are with --json
