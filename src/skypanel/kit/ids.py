"""Identifiers: UUID version 7 (RFC 9562), so that rows sort by the moment they were made."""

from __future__ import annotations

import hashlib
import os
import re
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


def as_name(text: str) -> str:
    """At most sixteen of [a-z0-9-] that remind of `text` (a process type, say), for names that other systems see.
    Different texts give different names."""
    name = re.sub(r"[^a-z0-9]", "-", text.lower()).strip("-")
    if name == text and len(name) <= 16:
        return name
    return f"{name[:9] or 'p'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"
