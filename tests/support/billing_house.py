"""An organization that pays, with what ran in it, and the API over it at the world's time."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import billing_world
from api_under_test import Api, Person


class House:
    def __init__(self, api: Api) -> None:
        self.api = api
        api.clock.moment = billing_world.BEGIN
        self.world = billing_world.World(api.database, api.clock)
        self.ada = api.register("ada@example.com", "Engines")
        self.organization: str = self.ada.organization["id"]

    @cached_property
    def admin(self) -> Person:
        return self.api.admin()

    def ran(self, *, minutes: float = 60, plan: str = "hobby", **more: Any) -> str:
        """An application that served so long from the beginning of the hour; the hour is charged."""
        app = self.world.app(self.organization, plan=plan, **more)
        replica = self.world.start(app)
        self.world.advance(minutes=minutes)
        self.world.stop(replica)
        return app

    def usage(self, person: Person | None = None, **asked: str) -> Any:
        answer = (person or self.ada).get("/api/paas/usage", params=asked)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wallet(self, person: Person | None = None) -> Any:
        answer = (person or self.ada).get("/api/paas/wallet")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def enter(self, amount: str, kind: str = "adjustment") -> Any:
        body = {"kind": kind, "amount": amount, "reason": "for a test"}
        answer = self.admin.post(f"/api/admin/paas/organizations/{self.organization}/wallet/entries", body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def runs_dry(self) -> str:
        """An application that has used up everything."""
        app = self.world.app(self.organization)
        self.world.start(app)
        self.enter("-999.9999")
        self.world.advance(hours=1, minutes=2)
        self.world.bill()
        return app
