"""cluster

A revision works with the release before it, for both run for a moment during an upgrade: add first, remove later.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from skypanel.db import UtcDateTime
from skypanel.db.base import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "edge_nodes",
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=False),
        sa.Column("probe_port", sa.Integer(), nullable=False),
        sa.Column("http_port", sa.Integer(), nullable=False),
        sa.Column("loaded", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_edge_nodes")),
    )
    op.create_table(
        "leaders",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.String(length=120), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leaders")),
    )
    op.create_table(
        "published_routes",
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_published_routes")),
    )
    with op.batch_alter_table("published_routes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_published_routes_revision"), ["revision"], unique=False)

    op.create_table(
        "route_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_route_revision")),
    )


def downgrade() -> None:
    op.drop_table("route_revision")
    with op.batch_alter_table("published_routes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_published_routes_revision"))

    op.drop_table("published_routes")
    op.drop_table("leaders")
    op.drop_table("edge_nodes")
