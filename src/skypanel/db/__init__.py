"""The database: declarative base, sessions, migrations. Knows no table of its own."""

from skypanel.db.base import Base, UtcDateTime
from skypanel.db.session import Database, Session

__all__ = ["Base", "Database", "Session", "UtcDateTime"]
