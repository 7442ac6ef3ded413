"""Fixtures: one real platform and one Git host for a whole folder: worker, server, Traefik, runc, as `skypanel up`
starts them. A conftest imports the names it wants."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator

import pytest
import sample_apps
from git_http import GitHttpServer
from site_under_test import Client, Site, site

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHttpServer]:
    with GitHttpServer(tmp_path_factory.mktemp("repositories")) as server:
        yield server


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.fail("these tests run real containers and need root")
    with site(
        tmp_path_factory.mktemp("site"),
        SKYPANEL_MAX_APPS_PER_ORG="1000",
        SKYPANEL_HEALTH_DEADLINE_S="8",
        SKYPANEL_DRAIN_TIMEOUT_S="15",
        SKYPANEL_STOP_GRACE_S="3",
        SKYPANEL_GIT_HTTPS_TOKEN="canary-git-token-51d0ab",  # for no host here; looked for everywhere
    ) as running:
        yield running


@pytest.fixture(scope="session")
def ada(platform: Site) -> Client:
    return platform.register("ada")


@pytest.fixture(scope="session")
def mallory(platform: Site) -> Client:
    """Somebody in another organization."""
    return platform.register("mallory")


@pytest.fixture
def unique() -> Callable[[str], str]:
    return lambda name: f"{name}-{next(_numbers)}"


@pytest.fixture(scope="session")
def load_target(repositories: GitHttpServer) -> str:
    return sample_apps.load_target(repositories)
