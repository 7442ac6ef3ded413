"""Identifiers: UUID version 7 (RFC 9562), so that rows sort by the moment they were made."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A new UUIDv7 in its 36-character form."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & 0xFFFFFFFFFFFF) << 80
    value |= 0x7 << 76
    value |= ((random >> 62) & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random & 0x3FFFFFFFFFFFFFFF
    return str(uuid.UUID(int=value))


def short(identifier: str) -> str:
    """Twelve characters of an id that differ between ids made in the same second: its random tail."""
    return identifier.replace("-", "")[-12:]
