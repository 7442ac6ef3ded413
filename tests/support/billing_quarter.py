"""Months of organizations by a clock that a test moves, drawn from a seed: what they do and what happens to them.

All of it is written into a log that the product never sees."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from billing_recomputed import HOUR, Log, Plan, Stretch, owed
from billing_world import World

from skypanel.billing.models import LedgerAccount, LedgerPosting, UsageRecord
from skypanel.orgs.models import Plan as PlanRow

GB = 10**9
LAG = 90
FIELDS = (
    "replica_seconds", "replica_micro", "byte_seconds", "storage_micro", "log_bytes", "log_micro", "amount_micro",
)  # fmt: skip
FREE = 10  # each tenth organization is not billed
VERBS = {
    "scale_up": 10, "scale_down": 8, "restart": 6, "crash": 8, "crash_noticed_late": 6, "change_plan": 6, "release": 6,
    "retention": 4, "logs": 16, "stop_all": 3, "delete": 1, "new_app": 2, "refill": 4, "reprice": 1,
}  # fmt: skip


@dataclass
class Quarter:
    world: World
    seed: int
    organizations: int
    begin: datetime
    end: datetime
    events: int
    log: Log = field(default_factory=Log)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.world.clock.moment = self.begin
        self.log.first = int(self.begin.timestamp()) // HOUR * HOUR
        self.plans = {name: self._price(name) for name in ("hobby", "standard", "pro")}
        self.paid_in: dict[str, int] = {}
        self.to_found = [f"org-{number:03d}" for number in range(self.organizations)]
        self.running: dict[str, list[str]] = {}  # application -> its replicas
        self.kept: dict[str, list[str]] = {}
        self.unnoticed: list[tuple[float, str, datetime]] = []  # noticed at, replica, died at
        self.asleep: dict[str, int] = {}  # application of a suspended organization -> replicas it had
        self.heads: dict[str, tuple[int, int]] = {}

    # --- the clock

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    def seconds(self) -> float:
        return self.now.timestamp()

    def note(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    # --- the whole of it

    def run(self) -> None:
        pause = (self.end - self.begin).total_seconds() / self.events
        outages = sorted(self.dice.uniform(0.05, 0.9) for _ in range(5))
        lengths = [timedelta(days=7), *(timedelta(hours=self.dice.uniform(2, 60)) for _ in range(4))]
        next_bill = self.now
        while self.now < self.end:
            self.world.clock.advance(timedelta(seconds=self.dice.uniform(0, 2 * pause)))
            part = (self.now - self.begin) / (self.end - self.begin)
            if outages and part > outages[0]:
                del outages[0]
                self.outage(lengths.pop(0))
            if self.dice.random() < 0.004:
                self.step_clock()
                next_bill = min(next_bill, self.now + timedelta(minutes=self.dice.choice((0, 40, 300))))
            self.found(part)
            self.notice()
            self.act()
            if self.now >= next_bill:
                self.bill()
                next_bill = self.now + timedelta(hours=self.dice.choice((0.1, 1, 1, 3, 6, 12)))
        self.world.clock.advance(timedelta(hours=14))
        self.notice(everything=True)
        self.bill()

    def found(self, part: float) -> None:
        """Organizations come all through the first two thirds."""
        due = len(self.to_found) - self.organizations * (1 - part * 1.5)
        while self.to_found and due > 0:
            due -= 1
            name = self.to_found.pop()
            billed = len(self.to_found) % FREE != 0
            funds = self.dice.choice((0, 1, 2_000, 40_000, 300_000, 5_000_000, 10**9))
            self.world.organization(name, funds="0", billed=billed)
            self.paid_in[name] = 0
            if funds:
                self.pay(name, funds)
            self.new_app(name)

    def step_clock(self) -> None:
        self.note("clock steps")
        self.world.clock.advance(timedelta(seconds=self.dice.uniform(-3600, 3600)))

    def outage(self, length: timedelta) -> None:
        """Nobody bills, notices or asks for anything, and some things die."""
        self.note("outages")
        began = self.now
        serving = [replica for replicas in self.running.values() for replica in replicas]
        dying = self.dice.sample(serving, len(serving) // 4)
        moments = {replica: began + length * self.dice.random() for replica in dying}
        self.world.clock.advance(length)
        for replica, moment in moments.items():
            self.log.replicas[replica].ends.append(moment.timestamp())
            self.unnoticed.append((self.seconds() + self.dice.uniform(0, 30), replica, moment))
            self._forget(replica)

    def notice(self, *, everything: bool = False) -> None:
        due = [each for each in self.unnoticed if everything or each[0] <= self.seconds()]
        for each in due:
            self.unnoticed.remove(each)
            self.world.dies(each[1], ago=self.now - each[2])

    # --- money

    def bill(self) -> None:
        self.note("bills")
        self.world.bill()
        over = (int(self.seconds() - LAG) // HOUR) * HOUR  # end of the last hour that was over 90 s ago
        self.log.charged = max(self.log.charged, over)
        self.follow_chains()
        self.obey()

    def obey(self) -> None:
        """What the worker does with those that were suspended or resumed."""
        suspended = self.world.suspended()
        for app in list(self.running):
            if self.log.owner[app] in suspended and app not in self.asleep:
                self.note("apps suspended")
                self.asleep[app] = len(self.running[app])
                for replica in list(self.running[app]):
                    self.stop_one(replica)
        for app in [app for app in self.asleep if self.log.owner[app] not in suspended]:
            self.note("apps resumed")
            for _ in range(self.asleep.pop(app)):
                self.start(app)

    def pay(self, organization: str, amount: int) -> None:
        self.world.pay_in(organization, amount)
        self.paid_in[organization] += amount

    def follow_chains(self) -> None:
        """Every posting since the last look follows the one before it, and the account repeats the last."""
        with self.world.database.reading() as session:
            accounts = sa.select(LedgerAccount.id, LedgerAccount.seq, LedgerAccount.balance_micro)
            for account, seq, balance in session.execute(accounts).all():
                head = self.heads.get(account, (0, 0))
                if (seq, balance) == head:
                    continue
                query = sa.select(LedgerPosting.seq, LedgerPosting.amount_micro, LedgerPosting.balance_micro)
                query = query.where(LedgerPosting.account_id == account, LedgerPosting.seq > head[0])
                for number, amount, after in session.execute(query.order_by(LedgerPosting.seq)):
                    assert (number, after) == (head[0] + 1, head[1] + amount), account
                    head = (number, after)
                assert head == (seq, balance), account
                self.heads[account] = head

    # --- what people and programs do

    def act(self) -> None:
        if not self.running:
            return
        verb = self.dice.choices(list(VERBS), list(VERBS.values()))[0]
        app = self.dice.choice(list(self.running))
        if verb == "refill":
            poor = sorted(self.world.suspended()) or [self.log.owner[app]]
            self.pay(self.dice.choice(poor), self.dice.choice((3, 50_000, 2_000_000)))
            self.obey()
        elif verb == "reprice":
            name = self.dice.choice(list(self.plans))
            self.plans[name] = self._price(name)
        elif verb == "new_app":
            self.new_app(self.log.owner[app])
        elif app not in self.asleep:
            getattr(self, verb)(app)
        self.note(verb)

    def new_app(self, organization: str) -> None:
        if organization in self.world.suspended():
            return
        plan = self.dice.choice(list(self.plans))
        app = self.world.app(organization, plan=plan)
        self.log.owner[app] = organization
        self.log.plans[app].append((self.seconds(), self.plans[plan]))
        self.running[app], self.kept[app] = [], []
        self.start(app)

    def start(self, app: str) -> None:
        replica = self.world.start(app)
        plan = self.log.plans[app][-1][1]
        self.log.replicas[replica] = Stretch(app, self.seconds(), plan=plan.name, price=plan.price)
        self.running[app].append(replica)

    def stop_one(self, replica: str) -> None:
        self.world.stop(replica)
        self.log.replicas[replica].ends.append(self.seconds())
        self._forget(replica)

    def _forget(self, replica: str) -> None:
        for replicas in self.running.values():
            if replica in replicas:
                replicas.remove(replica)

    def scale_up(self, app: str) -> None:
        if len(self.running[app]) < 4:
            self.start(app)

    def scale_down(self, app: str) -> None:
        if len(self.running[app]) > 1:
            self.stop_one(self.running[app][0])

    def stop_all(self, app: str) -> None:
        for replica in list(self.running[app]):
            self.stop_one(replica)

    def restart(self, app: str) -> None:
        old = list(self.running[app]) or [""]
        for _ in old:
            self.start(app)
        for replica in filter(None, old):
            self.stop_one(replica)
            if self.dice.random() < 0.3:  # it had died a little before, which is seen when it is removed
                ago = timedelta(seconds=self.dice.uniform(0, 50))
                self.world.dies(replica, ago=ago)
                self.log.replicas[replica].ends.append((self.now - ago).timestamp())

    def crash(self, app: str) -> None:
        if self.running[app]:
            replica = self.running[app][-1]
            ago = timedelta(seconds=self.dice.uniform(0, 3))
            self.log.replicas[replica].ends.append(self._died(replica, ago))
            self.world.dies(replica, ago=ago)
            self._forget(replica)
            self.start(app)

    def crash_noticed_late(self, app: str) -> None:
        if self.running[app]:
            replica = self.running[app][-1]
            self.log.replicas[replica].ends.append(self.seconds())
            self.unnoticed.append((self.seconds() + self.dice.uniform(600, 9 * HOUR), replica, self.now))
            self._forget(replica)

    def _died(self, replica: str, ago: timedelta) -> float:
        return max((self.now - ago).timestamp(), self.log.replicas[replica].begin)

    def change_plan(self, app: str) -> None:
        plan = self.dice.choice(list(self.plans))
        self.world.change_plan(app, plan)
        self.log.plans[app].append((self.seconds(), self.plans[plan]))
        self.restart(app)

    def release(self, app: str) -> None:
        size = self.dice.randrange(1, 3 * GB)
        slug = self.world.slug(app, size)
        self.log.slugs[slug] = Stretch(app, self.seconds(), size=size)
        self.kept[app].append(slug)

    def retention(self, app: str) -> None:
        if self.kept[app]:
            slug = self.kept[app].pop(0)
            self.world.drop_slug(slug)
            self.log.slugs[slug].ends.append(self.seconds())

    def logs(self, app: str) -> None:
        counted = max(self.seconds() - self.dice.choice((0, 0, 60, 5000)), self.log.plans[app][0][0])
        hour = int(counted) // HOUR * HOUR
        size = self.dice.randrange(1, GB)
        self.world.logs(app, datetime.fromtimestamp(hour, UTC), size)
        self.log.logs(app, hour, size)

    def delete(self, app: str) -> None:
        self.world.delete(app)
        self.log.deleted[app] = self.seconds()
        for replica in list(self.running[app]):
            self.stop_one(replica)
        del self.running[app], self.kept[app]

    def _price(self, name: str) -> Plan:
        plan = Plan(name, self.dice.randrange(1, 90_000), self.dice.choice((0, 7_919)), self.dice.choice((0, 104_729)))
        with self.world.database.transaction() as session:
            row = session.scalars(sa.select(PlanRow).where(PlanRow.slug == name)).one()
            row.price_per_hour_micro, row.storage_price_micro, row.log_price_micro = plan.price, plan.storage, plan.logs
        return plan

    # --- the verdict

    def audit(self) -> int:
        """Every charge against the recomputation, every balance against both. How many charges there were."""
        wanted = owed(self.log)
        columns = [sa.func.sum(getattr(UsageRecord, name)) for name in FIELDS]
        key = (UsageRecord.app_id, UsageRecord.hour, UsageRecord.plan_slug)
        with self.world.database.reading() as session:
            rows = session.execute(sa.select(*key, *columns).group_by(*key)).all()
            wallets = dict(session.execute(sa.select(LedgerAccount.organization_id, LedgerAccount.balance_micro)).all())
        charged = {
            (app, int(hour.timestamp()), plan): tuple(int(each) for each in numbers)
            for app, hour, plan, *numbers in rows
        }
        charged = {name: numbers for name, numbers in charged.items() if any(numbers)}
        wrong = {
            name: (charged.get(name), wanted.get(name))
            for name in charged.keys() | wanted.keys()
            if charged.get(name) != wanted.get(name)
        }
        assert not wrong, f"{len(wrong)} of {len(wanted)} differ, charged and owed: {sorted(wrong.items())[:5]}"
        spent = dict.fromkeys(self.paid_in, 0)
        for (app, _, _), numbers in wanted.items():
            spent[self.log.owner[app]] += numbers[-1]
        for organization in self.paid_in:
            billed = int(organization.removeprefix("org-")) % FREE != 0
            left = self.paid_in[organization] - (spent[organization] if billed else 0)
            assert wallets.get(organization, 0) == left, organization
        return len(wanted)
