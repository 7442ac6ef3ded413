from __future__ import annotations

import pytest
from billing_world import World

from skypanel.db import Database


@pytest.fixture
def world(each_database: Database) -> World:
    return World(each_database)
