"""Every payment driver, beside a double of its provider. One more driver is one more parameter."""

from __future__ import annotations

from topup_world import payments, stripe

__all__ = ["payments", "stripe"]
