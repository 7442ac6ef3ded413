"""What applications pay for has changed: hours that are charged already may have to be rated again."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from skypanel.apps.models import App
from skypanel.db import Session


def recheck(session: Session, app_id: str, *, since: datetime) -> None:
    """To be called with every change of its plan and its slugs and at its deletion. As a rule that hour is still to be
    charged, and billing forgets it; after the clock was set back it is not."""
    earliest = sa.case((App.recheck_from < since, App.recheck_from), else_=since)
    query = sa.update(App).where(App.id == app_id).values(recheck_from=earliest)
    session.execute(query.execution_options(synchronize_session=False))
