"""What a handler raises to say what shall happen next, and what it may meet.

    Temporary   try again after `delay_s`; counts as an attempt
    Permanent   do not try again
    Cancelled   raised by the context once a cancel was asked for; let it pass after cleaning up
    Lost        another worker owns the job now: stop at once, clean up nothing, it is the other's to do
    Killed      given to `on_failure` when the worker died in the last attempt

Any other error is tried again with growing delays up to `max_attempts`.
"""

from __future__ import annotations


class Temporary(Exception):
    """The cause is expected to pass. `delay_s`: seconds until the next attempt."""

    def __init__(self, message: str, *, delay_s: float = 5.0) -> None:
        super().__init__(message)
        self.delay_s = delay_s


class Permanent(Exception):
    """Another attempt would end the same way."""


class Cancelled(Exception):
    """The job was asked to stop."""


class Lost(Exception):
    """The lease is gone: this process may neither record a step nor finish the job."""


class Killed(Exception):
    """The last attempt ended without a word."""
