"""What the worker does about money: hours, corrections, log volumes, payments by card, letters to owners."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import sqlalchemy as sa

from skypanel.accounts.models import User
from skypanel.billing.cashier import Cashier
from skypanel.billing.charge import LAG, Charger, next_hour
from skypanel.billing.core.hours import HOUR
from skypanel.billing.recheck import Rechecker
from skypanel.billing.running_dry import resume_with_the_month
from skypanel.billing.volumes import add_volumes
from skypanel.db import Database
from skypanel.drivers.mail.port import Mail
from skypanel.kit.clock import Clock
from skypanel.logs.volume import Volumes
from skypanel.orgs.models import Membership, Role

log = logging.getLogger(__name__)
SETTLES_S = 60.0  # after a start: what died while the platform was away is found out first


@dataclass(frozen=True)
class Bookkeeper:
    database: Database
    clock: Clock
    currency: str
    volumes: Volumes
    mail: Mail
    cashier: Cashier | None = None  # of a platform that takes cards
    monotonic: Callable[[], float] = time.monotonic
    began: float = field(default_factory=time.monotonic)

    def bill(self) -> None:
        """Everything that is due. Any number of workers may do so at once, and be killed in it."""
        if self._has_just_come_back():
            return
        Rechecker(self.database, self.clock, self.currency).run()
        hours = Charger(self.database, self.clock, self.currency).run()
        with self.database.transaction() as session:
            resume_with_the_month(session, now=self.clock.now(), currency=self.currency)
        if hours:
            log.info("charged %d hour%s", hours, "s" * (hours > 1))

    def _has_just_come_back(self) -> bool:
        """From more than an hour away. Nothing would be charged wrongly, but somebody suspended for an hour in which
        his replicas had died."""
        if self.monotonic() - self.began > SETTLES_S:
            return False
        with self.database.reading() as session:
            hour = next_hour(session)
        return hour is not None and hour + 2 * HOUR + LAG + timedelta(minutes=10) < self.clock.now()

    def keep_volumes(self) -> None:
        taken = self.volumes.take()
        if not taken:
            return
        try:
            with self.database.transaction() as session:
                add_volumes(session, taken)
        except Exception:
            self.volumes.put_back(taken)
            raise

    def handle_payment(self, *, event_id: str) -> None:
        if self.cashier is not None:
            self.cashier.handle(event_id)

    def look_for_payments(self) -> None:
        if self.cashier is not None:
            self.cashier.look()

    def write_to_owners(self, *, organization_id: str, subject: str, text: str) -> None:
        query = (
            sa.select(User.email)
            .join(Membership, Membership.user_id == User.id)
            .where(Membership.organization_id == organization_id, Membership.role == Role.OWNER)
        )
        with self.database.reading() as session:
            owners = sorted(session.scalars(query))
        for owner in owners:
            self.mail.send(to=owner, subject=subject, text=text)
