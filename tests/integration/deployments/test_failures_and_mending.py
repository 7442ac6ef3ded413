"""What goes wrong by itself: stages that fail, cancels, replicas that die, things changed by hand."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from memory_site import Site

from skypanel.apps.models import App
from skypanel.apps.plan_choice import take_plan
from skypanel.deployments.ask_operation import ask_to_mend
from skypanel.deployments.health import Verdict
from skypanel.deployments.models import Deployment, Replica, ReplicaState
from skypanel.deployments.monitor import Monitor, Watched
from skypanel.deployments.reconcile import exited
from skypanel.deployments.release import Release
from skypanel.deployments.rollout import start_one
from skypanel.drivers.builder.port import BuildRequest
from skypanel.drivers.router.port import Page, RouterFailed
from skypanel.drivers.runtime.port import Container, ContainerSpec, Limits, RuntimeFailed
from skypanel.errors import Conflict
from skypanel.jobs import Job
from skypanel.orgs.plans import get_plan

PROCFILE = {
    "build": "nonsense",
    "release": "release: fails\nweb: serve\nworker: work\n",
    "check": "web: crash\nworker: work\n",
}
FAILURES = {
    "fetch": "git_unreachable",
    "build": "procfile_invalid",
    "release": "release_failed",
    "start": "start_failed",
    "check": "crashed_at_start",
    "switch": "route_failed",
}


def web_of(site: Site, app_id: str) -> Replica:
    return next(r for r in site.replicas(app_id) if r.process_type == "web" and r.state != ReplicaState.BACKOFF)


def kill_web(site: Site, app_id: str) -> str:
    web = web_of(site, app_id)
    site.runtime.die(web.id)
    exited(site.platform, [web.id])
    return web.id


@pytest.mark.parametrize("stage", FAILURES)
def test_a_deployment_that_fails_says_why_and_what_served_serves(site: Site, shop: str, stage: str) -> None:
    before = {r.id for r in site.replicas(shop)}
    if stage in PROCFILE:
        site.commit("shop", {"Procfile": PROCFILE[stage]})
    elif stage == "fetch":
        site.source.unreachable.add("https://git.example.org/shop.git")
    elif stage == "start":
        site.runtime.fail_start = "no room"
    else:
        site.router.confirms = False
    deployment = site.done("deploy", shop)
    assert (deployment.status, deployment.reason_code) == ("failed", FAILURES[stage])
    assert site.stages(deployment.id)[stage] == "failed"
    site.router.confirms, site.runtime.fail_start = True, None
    assert site.reconciled().removed == 0
    site.true(shop, status="running")
    assert {r.id for r in site.replicas(shop)} == before


def test_a_new_replica_whose_machine_is_lost_is_started_on_another_one(
    site: Site, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = site.runtime.start, list[str]()

    def on_a_machine_that_goes(spec: ContainerSpec) -> Container:
        container = start(spec)
        started.append(spec.id)
        if len(started) == 1:
            site.runtime.die(spec.id, displaced=True)
        return container

    monkeypatch.setattr(site.runtime, "start", on_a_machine_that_goes)
    assert site.done("deploy", shop).status == "running"
    assert started.count(started[0]) == 2
    site.true(shop, status="running")


def test_an_undo_that_fails_does_not_leave_the_deployment_under_way(
    site: Site, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.commit("shop", {"Procfile": "web: crash\nworker: work\n"})

    def away(_route: object) -> None:
        raise RouterFailed("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(site.router, "put", away)
        assert site.done("deploy", shop).status == "failed"
    site.reconciled()
    site.true(shop, status="running")


@pytest.mark.parametrize("stage", ["build", "release", "check"])
def test_a_deployment_can_be_cancelled_in_every_stage_before_the_switch(site: Site, shop: str, stage: str) -> None:
    if stage == "build":
        site.builder.steps = lambda _request: site.cancel(site.rows(sa.select(Deployment))[-1])
    else:
        lines = {"release": "release: idle\nweb: serve\nworker: work\n", "check": "web: idle\nworker: work\n"}
        site.commit("shop", {"Procfile": lines[stage]})
    deployment = site.ask("deploy", shop)
    if stage != "build":
        site.eventually(lambda: site.deployment(deployment.id).stage == stage)
        site.cancel(deployment)
    site.quiet()
    assert site.deployment(deployment.id).status == "cancelled"
    assert site.reconciled().removed == 0
    site.true(shop, status="running")


def test_what_fails_after_a_cancel_was_accepted_is_cancelled(
    site: Site, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancelled_meanwhile(*_: object, **__: object) -> None:
        site.cancel(site.rows(sa.select(Deployment).order_by(Deployment.version))[-1])
        raise RuntimeFailed("no room")

    with monkeypatch.context() as broken:
        broken.setattr(site.runtime, "start", cancelled_meanwhile)
        deployment = site.done("deploy", shop)
    assert (deployment.status, deployment.reason_code) == ("cancelled", "cancelled")
    (job,) = site.rows(sa.select(Job).where(Job.id == deployment.job_id))
    assert job.state == "cancelled"
    site.true(shop, status="running")


def test_a_cancel_after_the_verdict_is_refused(site: Site, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def too_late(deployment_id: str) -> None:
        if site.deployment(deployment_id).reason_code is None:
            return  # before the build, not yet the undo
        with pytest.raises(Conflict) as refusal:
            site.cancel(site.deployment(deployment_id))
        refused.append(refusal.value.code)

    site.commit("shop", {"Procfile": "web: crash\nworker: work\n"})
    with monkeypatch.context() as broken:
        broken.setattr(site.builder, "clean", too_late)  # which leaves nothing behind in memory
        assert site.done("deploy", shop).status == "failed"
    assert refused == ["not_cancellable"]
    site.true(shop, status="running")


def test_a_cancel_of_a_queued_first_deployment_leaves_an_app_that_was_never_deployed(site: Site) -> None:
    app_id = site.app()
    site.process.engine.stop(grace_s=0)
    site.process.thread.join(20)
    deployment = site.ask("deploy", app_id)
    assert site.read(app_id).status == "building"
    site.cancel(deployment)
    site.start()
    site.quiet()
    assert (site.read(app_id).status, site.deployment(deployment.id).status) == ("created", "cancelled")


def test_a_replica_that_dies_comes_back_at_once_and_then_after_growing_pauses(site: Site, shop: str) -> None:
    kill_web(site, shop)
    site.quiet()
    site.true(shop, status="running")
    assert len(site.messages("replica.restarted")) == 1
    waits = []
    for _ in range(3):
        dead = kill_web(site, shop)
        site.quiet()
        (waiting,) = [r for r in site.replicas(shop) if r.state == ReplicaState.BACKOFF]
        assert site.read(shop).status == "crashed"
        gone = site.rows(sa.select(Replica).where(Replica.id == dead))[0]
        waits.append(round((waiting.retry_at - waiting.created_at).total_seconds()))
        assert gone.stopped_at <= waiting.created_at
        with site.platform.database.transaction() as session:  # as if the pause were over
            session.get_one(Replica, waiting.id).retry_at = site.clock.now() - timedelta(seconds=1)
            ask_to_mend(session, shop)
        site.quiet()
        site.true(shop, status="running")
    assert waits == [1, 2, 4]


def test_a_replica_that_waits_while_the_plan_changes_starts_with_its_limits_at_its_price(site: Site, shop: str) -> None:
    for _ in range(2):
        kill_web(site, shop)
        site.quiet()
    (waiting,) = [r for r in site.replicas(shop) if r.state == ReplicaState.BACKOFF]
    with site.platform.database.transaction() as session:
        plan = get_plan(session, "standard")
        take_plan(session, session.get_one(App, shop), plan, now=site.clock.now())
        session.get_one(Replica, waiting.id).retry_at = site.clock.now() - timedelta(seconds=1)
        ask_to_mend(session, shop)
    site.quiet()
    site.true(shop, status="running")
    assert site.machine.kept[waiting.id].inside.spec.limits == Limits(plan.cpu_millis, plan.memory_mb, plan.disk_mb)
    has = {r.process_type: (r.plan_slug, r.price_per_hour_micro) for r in site.replicas(shop)}
    assert has == {"web": ("standard", plan.price_per_hour_micro), "worker": ("pro", 1000)}


def test_a_replica_that_is_paid_for_and_starts_elsewhere_keeps_its_price(site: Site, shop: str) -> None:
    web = web_of(site, shop)
    with site.platform.database.transaction() as session:
        take_plan(session, session.get_one(App, shop), get_plan(session, "standard"), now=site.clock.now())
    site.runtime.remove(web.id)
    start_one(site.platform, Release.load(site.platform, web.deployment_id), web)
    after = web_of(site, shop)
    assert (after.id, after.plan_slug, after.price_per_hour_micro) == (web.id, "pro", 1000)


def test_a_clock_that_is_set_back_prolongs_no_pause(site: Site, shop: str) -> None:
    for _ in range(2):
        kill_web(site, shop)
        site.quiet()
    (waiting,) = [r for r in site.replicas(shop) if r.state == ReplicaState.BACKOFF]
    with site.platform.database.transaction() as session:
        session.get_one(Replica, waiting.id).retry_at = site.clock.now() + timedelta(hours=1)
    monitor = Monitor(site.platform)
    monitor._wake_backoffs()
    site.quiet()
    site.true(shop, status="running")


def test_a_crashed_replica_comes_back_while_the_next_version_is_built(site: Site, shop: str) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold(_request: BuildRequest) -> None:
        reached.set()
        assert opened.wait(30)

    site.builder.steps = hold
    site.ask("deploy", shop)
    site.eventually(reached.is_set)
    dead = kill_web(site, shop)
    site.eventually(
        lambda: [r for r in site.replicas(shop) if r.process_type == "web" and r.state == "healthy" and r.id != dead]
    )
    assert not opened.is_set()
    opened.set()
    site.quiet()
    site.true(shop, status="running")


def test_three_failed_health_checks_in_a_row_replace_a_replica_and_say_why(site: Site, shop: str) -> None:
    monitor = Monitor(site.platform)
    for round_ in range(3):
        web = web_of(site, shop)
        monitor._record(web, site.read(shop), Verdict(False, "it answers 500 at /"))
        if round_ < 2:
            assert web_of(site, shop).state == ReplicaState.HEALTHY
    site.quiet()
    site.true(shop, status="running")
    assert web_of(site, shop).id != web.id
    assert (web_of(site, shop).restarts, "500" in (web_of(site, shop).last_failure or "")) == (1, True)
    assert "3 health checks in a row failed: it answers 500 at /" in site.messages("replica.restarted")[-1]


def test_a_good_answer_in_between_starts_the_count_again(site: Site, shop: str) -> None:
    monitor = Monitor(site.platform)
    for healthy in (False, False, True, False, False):
        monitor._record(web_of(site, shop), site.read(shop), Verdict(healthy, "no answer"))
    assert web_of(site, shop).state == ReplicaState.HEALTHY


def test_an_organization_whose_apps_hang_keeps_nobody_elses_from_being_asked(site: Site, shop: str) -> None:
    monitor = Monitor(site.platform)
    with site.platform.database.reading() as session:
        app = session.get_one(App, shop)
    other = App(id="other", organization_id="other", slug="other", health_interval_s=30)
    for number in range(20):
        monitor._watched[f"r{number}"] = Watched(Replica(id=f"r{number}"), app)
        monitor._due.append((0.0, f"r{number}"))
    monitor._watched["x"] = Watched(Replica(id="x"), other)
    monitor._due.append((1.0, "x"))
    taken, _ = monitor._take_due(2.0)
    assert [w.replica.id for w in taken if w.app is other] == ["x"]
    assert len(taken) == 5
    monitor._answered(taken[0], 99.0)
    again, _ = monitor._take_due(float("1e18"))
    assert len([w for w in again if w.app is app]) == 1


def test_what_was_changed_by_hand_is_mended(site: Site, shop: str) -> None:
    site.router.remove(shop)
    site.router.by_key["01900000-0000-7000-8000-000000000000"] = site.router.puts[-1]
    (worker,) = [r for r in site.replicas(shop) if r.process_type == "worker"]
    web = web_of(site, shop)
    spec = site.machine.kept[web.id].inside.spec
    site.runtime.start(type(spec)(**{**spec.__dict__, "id": "nobodys"}))
    site.runtime.remove(worker.id)
    (site.root / "builds" / "leftover").mkdir(parents=True)
    found = site.reconciled()
    assert (found.mended, found.removed) == (1, 3)
    site.true(shop, status="running")
    assert set(site.router.by_key) == {shop}


def test_a_replica_that_was_started_but_not_recorded_gets_requests_in_the_end(site: Site, shop: str) -> None:
    with site.platform.database.transaction() as session:
        row = session.get_one(Replica, web_of(site, shop).id)
        row.state, row.address, row.port, row.started_at = ReplicaState.STARTING, None, None, None
    site.reconciled()
    site.true(shop, status="running")
    assert site.messages("replica.restarted") == []


def test_a_machine_that_was_switched_off_comes_back_as_it_was(site: Site, shop: str) -> None:
    site.done("scale", shop, replicas=3)
    stopped = site.app("stopped")
    site.done("deploy", stopped)
    site.done("stop", stopped)
    site.life.kill()
    site.runtime.destroy()
    site.start()
    site.reconciled()
    site.true(shop, status="running", web=3)
    site.true(stopped, status="stopped", web=0, worker=0)


def test_work_whose_job_is_lost_is_ended_truthfully(site: Site, shop: str) -> None:
    site.process.engine.stop(grace_s=0)
    site.process.thread.join(20)
    deployment = site.ask("deploy", shop)
    with site.platform.database.transaction() as session:
        session.execute(sa.delete(Job).where(Job.id == deployment.job_id))
    site.start()
    site.reconciled()
    found = site.deployment(deployment.id)
    assert (found.status, found.reason_code) == ("failed", "interrupted")
    site.true(shop, status="running")


def test_a_lost_slug_is_said_and_does_not_break_the_mending(site: Site, shop: str) -> None:
    site.builder.remove_app(shop)
    kill_web(site, shop)
    site.quiet()
    app = site.read(shop)
    assert (app.status, "deploy this commit again" in (app.status_reason or "")) == ("crashed", True)
    site.done("deploy", shop)
    site.reconciled()
    site.true(shop, status="running")


def test_a_platform_that_was_away_ends_drains_at_once(site: Site, shop: str) -> None:
    old = web_of(site, shop)
    site.machine.connections[old.id] = 1  # never ends by itself
    site.ask("restart", shop)
    site.eventually(lambda: any(r.state == "draining" for r in site.replicas(shop)))
    site.life.kill()
    with site.processes[-1].platform.database.engine.begin() as connection:
        connection.execute(sa.update(Replica).values(drain_until=site.clock.now() - timedelta(minutes=5)))
    site.start()
    site.quiet()
    site.reconciled()
    site.true(shop, status="running")


def test_no_request_goes_to_a_replica_that_died_while_its_successor_is_started(
    site: Site, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is lost it would hang."""
    site.done("scale", shop, replicas=3)
    all_three, seen = site.backends(shop), list[set[str]]()
    remove, start = site.runtime.remove, site.runtime.start

    def removed(container_id: str) -> None:
        seen.append(site.backends(shop))
        remove(container_id)

    def started(spec: Any) -> Any:
        seen.append(site.backends(shop))
        return start(spec)

    monkeypatch.setattr(site.runtime, "remove", removed)
    monkeypatch.setattr(site.runtime, "start", started)
    address = web_of(site, shop).address
    kill_web(site, shop)
    site.quiet()
    assert seen
    assert all(backends == all_three - {address} for backends in seen)
    site.true(shop, status="running", web=3)


def test_a_page_is_shown_while_everything_of_an_app_is_down(site: Site, shop: str) -> None:
    for _ in range(2):
        kill_web(site, shop)
        site.quiet()
    assert site.router.leads_to("shop.apps.example") == Page.CRASHED
