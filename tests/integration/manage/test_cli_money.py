"""The command line's words on money, against a stub of the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Cli = Callable[..., Any]
WALLET = {
    "balance": "12.50", "currency": "USD", "state": "low", "billed": True, "hours_left": 60,
    "burn_per_hour": "0.2082", "needed_to_resume": None, "spent_this_month": "7.10", "cap": "30.00",
    "suspended_for": None, "suspended_reason": None, "suspended_at": None,
}  # fmt: skip
SUSPENDED = WALLET | {
    "balance": "-0.01", "state": "suspended", "hours_left": 0, "needed_to_resume": "0.2082", "suspended_for": "funds",
    "suspended_reason": "Its wallet is empty.", "suspended_at": "2026-11-03T10:02:00Z",
}  # fmt: skip
COSTS = {
    "replica_seconds": 5400, "replica_cost": "0.01", "storage_gb_hours": "0.000000", "storage_cost": "0.00",
    "log_bytes": 12, "log_cost": "0.00", "cost": "0.01", "currency": "USD",
}  # fmt: skip
ITEM = COSTS | {"app": "shop", "app_id": "1", "name": "Shop", "deleted": True, "plan": "hobby", "hours": 2}
SPAN = {"from": "2026-11-01T00:00:00.000000Z", "to": "2026-12-01T00:00:00.000000Z"}
USAGE = SPAN | {"items": [ITEM], "total": "0.01", "currency": "USD"}
TRANSACTION = {
    "id": "j", "kind": "credit", "amount": "5.00", "balance": "12.50", "currency": "USD", "reason": "good\x1b[2Jwill",
    "author": "root@example.com", "hour": None, "created_at": "2026-11-03T10:02:00Z",
}  # fmt: skip
PRICE = {
    "plan": "pro", "process_type": "web", "current_replicas": 1, "replicas": 3, "max_replicas": 10,
    "cost_per_hour": "0.2082", "cost_per_month": "151.986", "balance": "50.00", "balance_after_hour": "49.7918",
    "currency": "USD", "billed": True, "affordable": True, "fits_plan": True,
}  # fmt: skip
LINE = (
    "3 of 10 web replicas (now 1), plan pro: 0.2082 USD per hour, 151.986 per month; "
    "balance 50.00, after an hour of everything 49.7918 USD."
)
ENGINES = "/api/admin/paas/organizations/engines"


def test_usage_is_filtered_and_summed(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/usage", USAGE)
    done = cli("usage", "--app", "shop", "--plan", "hobby", "--from", "2026-11-01", "--to", "2026-12-01")
    assert done.code == 0
    assert "shop (deleted)" in done.out
    assert "1.50" in done.out
    assert "Together 0.01 USD from 2026-11-01 00:00:00 to 2026-12-01 00:00:00 UTC." in done.out
    assert stub.seen[0].path == "/api/paas/usage?from=2026-11-01&to=2026-12-01&app=shop&plan=hobby"
    assert cli("usage", "--json").json == USAGE


def test_usage_as_a_file_is_what_the_platform_sends(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/usage", "hour,cost\r\n2026-11-01T00:00:00Z,0.01\r\n")
    done = cli("usage", "--csv", "--from", "2026-11-01")
    assert done.out.splitlines() == ["hour,cost", "2026-11-01T00:00:00Z,0.01"]
    assert stub.seen[0].path == "/api/paas/usage?format=csv&from=2026-11-01"
    stub.problem("GET", "/api/paas/usage", 403, "forbidden", "This needs the role owner or admin.")
    refused = cli("usage", "--csv")
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.startswith("This needs the role owner or admin.")


def test_the_wallet_says_what_is_left_and_how_long(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/wallet", WALLET)
    words = " ".join(cli("wallet").out.split())
    for part in ("balance 12.50 USD", "state low", "lasts 60 hours", "burns 0.2082 USD per hour", "cap 30.00 USD"):
        assert part in words
    assert "to resume" not in words
    assert cli("wallet", "--json").json == WALLET
    stub.on("GET", "/api/paas/wallet", SUSPENDED)
    words = " ".join(cli("wallet").out.split())
    assert "why Its wallet is empty. to resume 0.2082 USD for an hour" in words


def test_transactions_and_statement(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/wallet/transactions", {"items": [TRANSACTION], "next_cursor": None})
    done = cli("wallet", "transactions")
    assert "root@example.com" in done.out
    assert "\x1b[2J" not in done.out
    statement = SPAN | {
        "month": "2026-11", "currency": "USD", "opening": "7.50", "closing": "12.50", "usage": [ITEM],
        "kinds": [{"kind": "credit", "amount": "5.00"}], "usage_total": "0.01",
    }  # fmt: skip
    stub.on("GET", "/api/paas/wallet/statement", statement)
    words = " ".join(cli("wallet", "statement", "--month", "2026-11").out.split())
    assert "opening 7.50 USD credit 5.00 USD closing 12.50 USD" in words
    assert stub.seen[-1].path.endswith("?month=2026-11")
    assert cli("wallet", "statement", "--json").json == statement


def test_the_cap_is_set_and_removed(cli: Cli, stub: Any) -> None:
    stub.on("PUT", "/api/paas/wallet/cap", {"wallet": WALLET}, {"wallet": WALLET | {"cap": None}})
    assert "The cap is 30.00 USD a month; 7.10 are spent." in cli("wallet", "cap", "30").out
    assert stub.seen[-1].body == {"cap": "30"}
    assert "There is no cap." in cli("wallet", "cap", "none").out
    assert stub.seen[-1].body == {"cap": None}


def test_resuming_without_funds_says_what_is_missing(cli: Cli, stub: Any) -> None:
    stub.problem("POST", "/api/paas/wallet/resume", 409, "funds_missing", "The wallet has 0.00 USD. Refill it first.")
    done = cli("wallet", "resume")
    assert (done.code, done.err) == (5, "The wallet has 0.00 USD. Refill it first.\n")
    stub.on("POST", "/api/paas/wallet/resume", {"wallet": WALLET})
    assert cli("wallet", "resume").out == "Everything comes back as it was.\n"


def test_prices_of_a_change_and_of_a_new_application(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/apps/shop/price", PRICE)
    stub.on("GET", "/api/paas/price", PRICE | {"affordable": False}, PRICE | {"fits_plan": False})
    assert cli("price", "shop", "--replicas", "3", "--plan", "pro").out == f"{LINE}\n"
    assert stub.seen[-1].path == "/api/paas/apps/shop/price?replicas=3&plan=pro"
    assert cli("price", "--plan", "pro").out.endswith("USD. The wallet does not carry an hour of it.\n")
    assert cli("price").out.endswith("The plan does not allow so many replicas.\n")
    assert cli("price", "--process", "worker").code == 2


def test_plans_are_listed_with_all_their_prices(cli: Cli, stub: Any) -> None:
    plan = {
        "slug": "hobby", "cpu": 0.5, "memory_mb": 512, "disk_mb": 10240, "max_replicas": 1, "currency": "USD",
        "price_per_hour": "0.0069", "price_per_month": "5.037", "storage_price": "0.00012", "log_price": "2.50",
    }  # fmt: skip
    stub.on("GET", "/api/paas/plans", {"items": [plan], "next_cursor": None}, {"items": [], "next_cursor": None})
    head, row, note = cli("plans").out.splitlines()
    assert head.split()[-6:] == ["per", "hour", "per", "month", "storage", "logs"]
    assert row.split() == ["hobby", "0.5", "512", "MB", "10", "GB", "1", "0.0069", "5.037", "0.00012", "2.50"]
    assert note == "In USD: replicas each, per hour and per 730 hours; storage per GB and hour; logs per GB."
    assert cli("plans").out == "No plans.\n"


def test_scaling_prints_the_price_before_it_asks(cli: Cli, stub: Any) -> None:
    stub.on("GET", "/api/paas/apps/shop/price", PRICE)
    stub.on("POST", "/api/paas/apps/shop/scale", {"app": {}, "job_id": "j"}, status=202)
    done = cli("scale", "shop", "3", "--process", "worker")
    assert done.out.splitlines() == [LINE, "shop is being scaled to 3 worker replicas."]
    assert [request.method for request in stub.seen] == ["GET", "POST"]
    assert stub.seen[0].path == "/api/paas/apps/shop/price?replicas=3&process_type=worker"
    assert cli("scale", "shop", "3", "--json").json == {"app": {}, "job_id": "j"}


@pytest.mark.parametrize(
    ("command", "kind", "amount"),
    [("credit", "credit", "25"), ("refund", "refund", "1"), ("adjust", "adjustment", "-5")],
)  # fmt: skip
def test_an_admin_enters_money_with_a_reason(cli: Cli, stub: Any, command: str, kind: str, amount: str) -> None:
    answer = {"entry": TRANSACTION, "wallet": SUSPENDED}
    stub.on("POST", f"{ENGINES}/wallet/entries", answer, status=201)
    done = cli("admin", command, "engines", amount, "--reason", "for the outage")
    assert done.out == "5.00 USD; engines has -0.01 now. It stays suspended.\n"
    assert stub.seen[0].body == {"kind": kind, "amount": amount, "reason": "for the outage"}
    assert stub.seen[0].headers["Idempotency-Key"]
    assert cli("admin", command, "engines", amount).code == 2


def test_an_admin_suspends_resumes_and_frees(cli: Cli, stub: Any) -> None:
    stub.on("POST", f"{ENGINES}/suspend", {"wallet": SUSPENDED})
    stub.on("POST", f"{ENGINES}/resume", {"wallet": WALLET})
    stub.on("PATCH", ENGINES, {"organization": {"billed": False}})
    assert cli("admin", "suspend", "engines", "--yes").out == "engines is suspended.\n"
    assert cli("admin", "resume", "engines").out == "engines is active again.\n"
    assert cli("admin", "billed", "engines", "off").out == "engines uses the platform for free.\n"
    assert stub.seen[-1].body == {"billed": False}
    assert cli("admin", "billed", "engines", "perhaps").code == 2
    assert len(stub.seen) == 3


def test_an_admin_sees_wallets_and_usage_of_all(cli: Cli, stub: Any) -> None:
    stub.on("GET", f"{ENGINES}/wallet", {"wallet": WALLET})
    stub.on("GET", f"{ENGINES}/wallet/transactions", {"items": [TRANSACTION], "next_cursor": None})
    assert "12.50 USD" in cli("admin", "wallet", "engines").out
    assert cli("admin", "wallet", "engines", "--json").json == WALLET | {"transactions": [TRANSACTION]}
    row = {"organization": "engines", "name": "E", "currency": "USD", "replica_seconds": 3600, "log_bytes": 1}
    stub.on("GET", "/api/admin/paas/usage", USAGE | {"items": [row | {"cost": "2.00"}]})
    assert "engines" in cli("admin", "usage").out
