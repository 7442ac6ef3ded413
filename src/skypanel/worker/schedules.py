"""What happens by the clock."""

from __future__ import annotations

from skypanel.jobs import Schedule

SCHEDULES = (
    Schedule("billing.run", "2-59/5 * * * *", "billing.run", "billing"),
    Schedule("billing.volumes", "*/30 * * * * *", "billing.volumes", "billing"),
    Schedule("payments.look", "*/5 * * * *", "payments.look", "billing"),
    Schedule("upkeep.jobs", "17 * * * *", "upkeep.jobs", "upkeep"),
    Schedule("upkeep.logs", "*/10 * * * *", "upkeep.logs", "upkeep"),
    Schedule("upkeep.caches", "23 4 * * *", "upkeep.caches", "upkeep"),
    Schedule("upkeep.images", "52 3 * * *", "upkeep.images", "upkeep"),
    Schedule("upkeep.accounts", "41 3 * * *", "upkeep.accounts", "upkeep"),
)
