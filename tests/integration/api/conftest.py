from __future__ import annotations

from api_under_test import api, either_api, make_api, sqlite_database

__all__ = ["api", "either_api", "make_api", "sqlite_database"]
