"""The standing attack: two hostile tenants, `mallory` in an organization of her own and somebody with the role viewer
in the victim's, against the API in this process and against one real platform.

Do: try what must not work, and prove beside it that the attempt itself works where no guard is. Don't: trust a status
alone; look for what leaked and for what was changed.
"""

from __future__ import annotations

import canaries
import pytest
from api_under_test import either_api, make_api, sqlite_database
from api_under_test import sqlite_api as api
from apps_world import sqlite_world as world
from git_http import GitHttpServer
from one_platform import ada, mallory, platform, repositories, unique
from sample_apps import plain_server
from site_under_test import Client

__all__ = [
    "ada",
    "api",
    "either_api",
    "make_api",
    "mallory",
    "platform",
    "repositories",
    "sqlite_database",
    "unique",
    "world",
]


@pytest.fixture(scope="session")
def victim(ada: Client, repositories: GitHttpServer) -> str:
    """Ada's app, with a variable, a deployment and a one-off run."""
    repositories.make("victim", plain_server(body="ada's page"))
    ada.create("victim", repositories.url("victim"))
    ada.call("PUT", "/paas/apps/victim/env", {"vars": {"SECRET": canaries.VARIABLE}})
    ada.deployed("victim")
    return "victim"
