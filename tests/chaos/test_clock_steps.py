"""The machine's clock is set, an hour forward and back, under a running worker: no verb waits, fails or is done twice.

A preloaded library moves what the worker's processes are told of the wall clock; see support/wall_clock.c.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from git_http import GitHttpServer
from one_platform import repositories
from site_under_test import ROOT, eventually, site

from chaos import Chaos, Visitor, chaos

__all__ = ["repositories"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
HOUR = 3600
WITHIN_S = 45  # three leases: what is asked for must not wait for a clock that was set back to catch up


@dataclass
class Clock:
    file: Path

    def step(self, seconds: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.file)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    made = Clock(tmp_path_factory.mktemp("clock") / "offset")
    made.step(0)
    return made


@pytest.fixture(scope="module")
def stepping(tmp_path_factory: pytest.TempPathFactory, repositories: GitHttpServer, clock: Clock) -> Iterator[Chaos]:
    library = clock.file.with_name("wall_clock.so")
    source = ROOT / "tests" / "support" / "wall_clock.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl"], check=True)
    settings = {
        "LD_PRELOAD": str(library),
        "WALL_CLOCK_OFFSET": str(clock.file),
        "SKYPANEL_MAX_APPS_PER_ORG": "1000",
        "SKYPANEL_HEALTH_DEADLINE_S": "15",
        "SKYPANEL_DRAIN_TIMEOUT_S": "3",
        "SKYPANEL_STOP_GRACE_S": "2",
    }
    with site(tmp_path_factory.mktemp("chaos"), **settings) as running, chaos(running, repositories) as made:
        yield made


def started(world: Chaos, version: int) -> float:
    """When the worker says that it began the deployment, seconds since the epoch."""
    stages = world.owner.deployment(world.slug, version)["stages"]
    return datetime.fromisoformat(stages[-1]["started_at"]).timestamp()


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["an hour forward", "an hour back"])
def test_every_verb_after_a_step(stepping: Chaos, clock: Clock, seconds: int) -> None:
    visitor = Visitor(f"{stepping.slug}.apps.localhost", stepping.site.port)
    owner, slug = stepping.owner, stepping.slug
    try:
        with visitor.asking():
            clock.step(seconds)
            version = owner.deploy(slug)
            assert owner.settled(slug, version, within=WITHIN_S)["status"] == "running"
            assert abs(started(stepping, version) - time.time() - seconds) < HOUR / 2, "the worker's clock was stepped"
            back = owner.call("POST", f"/paas/apps/{slug}/rollback", {"version": version - 1})["deployment"]["version"]
            assert owner.settled(slug, back, within=WITHIN_S)["status"] == "running"
            for path, body in (("scale", {"replicas": 3}), ("restart", None), ("run", {"command": "true"})):
                job = owner.call("POST", f"/paas/apps/{slug}/{path}", body)["job_id"]
                assert owner.job(job, within=WITHIN_S)["state"] == "done", path
            eventually(lambda: not stepping.untrue(), within=WITHIN_S, every=0.2, what="the truth")
        assert not visitor.failures, visitor.failures
    finally:
        clock.step(0)


@pytest.mark.parametrize("seconds", [HOUR, -HOUR], ids=["an hour forward", "an hour back"])
def test_a_step_in_the_middle_of_a_deployment(stepping: Chaos, clock: Clock, seconds: int) -> None:
    owner, slug = stepping.owner, stepping.slug
    visitor = Visitor(f"{slug}.apps.localhost", stepping.site.port)
    try:
        with visitor.asking():
            version = owner.deploy(slug)
            eventually(lambda: owner.deployment(slug, version)["stages"], every=0.002, what="a first stage")
            clock.step(seconds)
            found = owner.settled(slug, version, within=WITHIN_S)
            assert found["status"] == "running", found
            eventually(lambda: not stepping.untrue(), within=WITHIN_S, every=0.2, what="the truth")
        assert not visitor.failures, visitor.failures
        assert owner.build_log(slug, version).count(f"Version {version} is live.") == 1
    finally:
        clock.step(0)
        stepping.owner.deployed(slug)
        eventually(lambda: not stepping.untrue(), within=WITHIN_S, every=0.2, what="the truth")
