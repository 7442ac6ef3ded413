from __future__ import annotations

import pytest
from api_under_test import make_api
from billing_world import World
from topup_world import payments, shop, stripe

from skypanel.db import Database

__all__ = ["make_api", "payments", "shop", "stripe"]


@pytest.fixture
def world(each_database: Database) -> World:
    return World(each_database)
