"""The standing attack: two hostile tenants, `mallory` in an organization of her own and somebody with the role viewer
in the victim's, against the API in this process and against one real platform.

Do: try what must not work, and prove beside it that the attempt itself works where no guard is. Don't: trust a status
alone; look for what leaked and for what was changed.
"""

from __future__ import annotations

from api_under_test import api, either_api, make_api, sqlite_database
from apps_world import world

__all__ = ["api", "either_api", "make_api", "sqlite_database", "world"]
