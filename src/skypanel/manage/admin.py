"""People who run the platform, made on the machine itself: never over HTTP."""

from __future__ import annotations

from skypanel.accounts.passwords import Passwords
from skypanel.accounts.users import create_admin as create
from skypanel.accounts.users import find_user
from skypanel.db import Database
from skypanel.kit.clock import SystemClock
from skypanel.settings import Settings


def create_admin(settings: Settings, *, email: str, name: str, password: str) -> bool:
    """True: a new user; False: an existing one, with this password from now on. Raises Invalid."""
    database = Database(settings.effective_database_url)
    try:
        with database.transaction() as session:
            known = find_user(session, email=email) is not None
            now = SystemClock().now()
            create(session, passwords=Passwords(), email=email, name=name, password=password, now=now)
            return not known
    finally:
        database.close()
