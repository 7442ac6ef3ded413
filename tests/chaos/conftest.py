"""One real platform that suffers everything in this folder.

Do: kill with SIGKILL, break, fill, stop clocks; then compare what is with what must be. Don't: hope that a sleep hits.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from git_http import GitHttpServer
from one_platform import repositories
from site_under_test import site

from chaos import Chaos, chaos

__all__ = ["repositories"]


@pytest.fixture(scope="module")
def suffering(tmp_path_factory: pytest.TempPathFactory, repositories: GitHttpServer) -> Iterator[Chaos]:
    settings = {
        "SKYPANEL_MAX_APPS_PER_ORG": "1000",
        "SKYPANEL_HEALTH_DEADLINE_S": "15",
        "SKYPANEL_DRAIN_TIMEOUT_S": "3",
        "SKYPANEL_STOP_GRACE_S": "2",
    }
    with site(tmp_path_factory.mktemp("chaos"), **settings) as running, chaos(running, repositories) as made:
        yield made
