"""billing

A revision works with the release before it, for both run for a moment during an upgrade: add first, remove later.

What runs already is metered from now on. Organizations that are there already are not billed until their operator says
so: their wallets are empty, and nobody has told them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from skypanel.db import UtcDateTime
from skypanel.db.guards import append_only, double_entry, install, uninstall

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TRIGGERS = (
    *double_entry(accounts="ledger_accounts", journals="ledger_journals", postings="ledger_postings"),
    *append_only("usage_records"),
)


def upgrade() -> None:
    _columns()
    _ledger()
    _usage()
    _payments()
    _from_now_on()
    install(TRIGGERS, op.get_bind())


def _columns() -> None:
    none, true = sa.text("0"), sa.true()
    op.add_column("apps", sa.Column("storage_price_micro", sa.BigInteger(), nullable=False, server_default=none))
    op.add_column("apps", sa.Column("log_price_micro", sa.BigInteger(), nullable=False, server_default=none))
    op.create_index("ix_apps_billing", "apps", ["organization_id", "id"])
    op.add_column("apps", sa.Column("recheck_from", UtcDateTime(), nullable=True))
    op.add_column("organizations", sa.Column("billed", sa.Boolean(), nullable=False, server_default=true))
    op.add_column("replicas", sa.Column("metered_from", UtcDateTime(), nullable=True))
    op.add_column("replicas", sa.Column("metered_until", UtcDateTime(), nullable=True))
    op.add_column("replicas", sa.Column("recheck_from", UtcDateTime(), nullable=True))
    op.create_index("ix_replicas_metered", "replicas", ["app_id", "metered_until"])
    marked = sa.text("recheck_from IS NOT NULL")
    op.create_index("ix_replicas_recheck", "replicas", ["app_id"], sqlite_where=marked, postgresql_where=marked)
    op.create_index("ix_apps_recheck", "apps", ["id"], sqlite_where=marked, postgresql_where=marked)
    serving = sa.text("metered_from IS NOT NULL AND metered_until IS NULL")
    op.create_index(
        "ix_replicas_serving", "replicas", ["organization_id"], sqlite_where=serving, postgresql_where=serving
    )
    op.create_table(
        "plan_periods",
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.Column("plan_slug", sa.String(length=40), nullable=False),
        sa.Column("price_per_hour_micro", sa.BigInteger(), nullable=False),
        sa.Column("storage_price_micro", sa.BigInteger(), nullable=False),
        sa.Column("log_price_micro", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_plan_periods_app_id")),
        sa.PrimaryKeyConstraint("app_id", "number", name=op.f("pk_plan_periods")),
    )


def _ledger() -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("id", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=True),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("balance_micro", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(kind = 'wallet') = (organization_id IS NOT NULL)", name=op.f("ck_ledger_accounts_owner")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_accounts_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_accounts")),
        sa.UniqueConstraint("organization_id", name=op.f("uq_ledger_accounts_organization_id")),
    )
    op.create_table(
        "ledger_journals",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("hour", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=254), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_journals_organization_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_journals")),
        sa.UniqueConstraint("key", name=op.f("uq_ledger_journals_key")),
    )
    op.create_index("ix_ledger_journals_organization", "ledger_journals", ["organization_id", "id"])
    op.create_table(
        "ledger_postings",
        sa.Column("account_id", sa.String(length=60), nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("journal_id", sa.String(length=36), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("balance_micro", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_micro <> 0", name=op.f("ck_ledger_postings_amount")),
        sa.ForeignKeyConstraint(["account_id"], ["ledger_accounts.id"], name=op.f("fk_ledger_postings_account_id")),
        sa.ForeignKeyConstraint(
            ["journal_id"], ["ledger_journals.id"], name=op.f("fk_ledger_postings_journal_id"),
            initially="DEFERRED", deferrable=True,
        ),
        sa.PrimaryKeyConstraint("account_id", "seq", name=op.f("pk_ledger_postings")),
        sa.UniqueConstraint("journal_id", "account_id", name=op.f("uq_ledger_postings_journal_id_account_id")),
    )  # fmt: skip
    op.create_index(op.f("ix_ledger_postings_journal_id"), "ledger_postings", ["journal_id"])
    op.create_table(
        "wallet_states",
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("warned_hours", sa.Integer(), nullable=True),
        sa.Column("suspended_for", sa.String(length=20), nullable=True),
        sa.Column("suspended_at", UtcDateTime(), nullable=True),
        sa.Column("cap_micro", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("cap_micro > 0", name=op.f("ck_wallet_states_cap")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_wallet_states_organization_id")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_wallet_states")),
    )


def _usage() -> None:
    numbers = ("replica_seconds", "replica_micro", "byte_seconds", "storage_micro", "log_bytes", "log_micro")
    op.create_table(
        "usage_records",
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("plan_slug", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in (*numbers, "amount_micro")),
        sa.Column("journal_id", sa.String(length=36), nullable=True),
        sa.CheckConstraint(
            "amount_micro = replica_micro + storage_micro + log_micro", name=op.f("ck_usage_records_sum")
        ),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_usage_records_app_id")),
        sa.ForeignKeyConstraint(["journal_id"], ["ledger_journals.id"], name=op.f("fk_usage_records_journal_id")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_usage_records_organization_id")
        ),
        sa.PrimaryKeyConstraint("app_id", "hour", "plan_slug", "revision", name=op.f("pk_usage_records")),
    )
    op.create_index("ix_usage_records_organization", "usage_records", ["organization_id", "hour", "app_id"])
    op.create_table(
        "log_volumes",
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_log_volumes_app_id")),
        sa.PrimaryKeyConstraint("app_id", "hour", name=op.f("pk_log_volumes")),
    )
    op.create_table(
        "billing_hours",
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("done_organization", sa.String(length=36), nullable=False),
        sa.Column("done_app", sa.String(length=36), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("hour", name=op.f("pk_billing_hours")),
    )


def _payments() -> None:
    op.create_table(
        "topups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organization_id", sa.String(length=36), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=True),
        sa.Column("session_id", sa.String(length=255), nullable=True),
        sa.Column("payment_id", sa.String(length=255), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("refunded_micro", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=254), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ask_at", UtcDateTime(), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("amount_micro > 0", name=op.f("ck_topups_amount")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_topups_organization_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_topups")),
        *(sa.UniqueConstraint(name, name=op.f(f"uq_topups_{name}"))
          for name in ("request_key", "session_id", "payment_id")),
    )  # fmt: skip
    op.create_index("ix_topups_organization", "topups", ["organization_id", "id"])
    op.create_index("ix_topups_ask", "topups", ["ask_at"])
    op.create_table(
        "payment_events",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=120), nullable=False),
        sa.Column("payment_id", sa.String(length=255), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("handled_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_events")),
    )
    op.create_index(op.f("ix_payment_events_payment_id"), "payment_events", ["payment_id"])
    op.create_index(op.f("ix_payment_events_handled_at"), "payment_events", ["handled_at"])


def _from_now_on() -> None:
    now = sa.bindparam("now", datetime.now(UTC), UtcDateTime())
    connection = op.get_bind()
    for statement in (
        "UPDATE organizations SET billed = false",
        "UPDATE replicas SET metered_from = :now WHERE state = 'healthy' AND deployment_id IN "
        "(SELECT id FROM deployments WHERE status = 'running')",
        "UPDATE apps SET storage_price_micro = (SELECT storage_price_micro FROM plans WHERE plans.id = apps.plan_id), "
        "log_price_micro = (SELECT log_price_micro FROM plans WHERE plans.id = apps.plan_id)",
        "INSERT INTO plan_periods (app_id, number, since, plan_slug, price_per_hour_micro, storage_price_micro, "
        "log_price_micro) SELECT id, 0, :now, plan_slug, price_per_hour_micro, storage_price_micro, log_price_micro "
        "FROM apps WHERE deleted_at IS NULL",
    ):
        text = sa.text(statement)
        connection.execute(text.bindparams(now) if ":now" in statement else text)


def downgrade() -> None:
    uninstall(TRIGGERS, op.get_bind())
    for table in ("payment_events", "topups", "billing_hours", "log_volumes", "usage_records", "wallet_states",
                  "ledger_postings", "ledger_journals", "ledger_accounts", "plan_periods"):  # fmt: skip
        op.drop_table(table)
    op.drop_index("ix_apps_recheck", "apps")
    op.drop_index("ix_replicas_serving", "replicas")
    op.drop_index("ix_replicas_recheck", "replicas")
    op.drop_index("ix_replicas_metered", "replicas")
    op.drop_index("ix_apps_billing", "apps")
    for table, names in (
        ("replicas", ("recheck_from", "metered_until", "metered_from")), ("organizations", ("billed",)),
        ("apps", ("recheck_from", "log_price_micro", "storage_price_micro")),
    ):  # fmt: skip
        for name in names:
            op.drop_column(table, name)
