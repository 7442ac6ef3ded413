"""Every verb once from end to end, and what must not happen when they meet."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection
from dataclasses import replace

import pytest
import sqlalchemy as sa
from memory_site import Site

from skypanel.apps.models import App, EnvVar
from skypanel.builds.models import Slug
from skypanel.deployments.models import Deployment
from skypanel.drivers.builder.port import BuildRequest
from skypanel.drivers.router.port import Page
from skypanel.drivers.runtime.port import ContainerKind
from skypanel.errors import Conflict
from skypanel.jobs import Job


def set_variable(site: Site, app_id: str, name: str, value: str) -> None:
    now = site.clock.now()
    with site.platform.database.transaction() as session:
        session.merge(
            EnvVar(
                app_id=app_id, name=name, value=site.vault.encrypt(value.encode()), created_at=now, updated_at=now
            )
        )  # fmt: skip


def variable(site: Site, app_id: str, name: str) -> str:
    """As the running web replica sees it."""
    (web,) = [r for r in site.replicas(app_id) if r.process_type == "web" and r.position == 1]
    return site.machine.kept[web.id].inside.env.get(name, "")


class Gate:
    """Holds builds until it is opened."""

    def __init__(self, site: Site) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        site.builder.steps = self._wait

    def _wait(self, _request: BuildRequest) -> None:
        self.reached.set()
        assert self.opened.wait(30)


def test_a_first_deployment_serves(site: Site) -> None:
    app_id = site.app(formation=2)
    deployment = site.done("deploy", app_id)
    assert (deployment.version, deployment.status, deployment.stage) == (1, "running", None)
    names = ("fetch", "build", "start", "check", "switch", "drain")
    assert site.stages(deployment.id) == dict.fromkeys(names, "done")
    site.true(app_id, status="running", web=2)


def test_a_rollback_runs_the_old_slug_and_keeps_todays_variables(site: Site) -> None:
    app_id = site.app()
    set_variable(site, app_id, "COLOUR", "red")
    first = site.done("deploy", app_id)
    set_variable(site, app_id, "COLOUR", "blue")
    site.done("deploy", app_id)
    back = site.done("rollback", app_id, version=1, restore_env=False)
    assert (back.status, back.slug_id, back.rolled_back_from) == ("running", first.slug_id, 2)
    assert (back.source_version, back.replicas_restored) == (1, 2)
    assert variable(site, app_id, "COLOUR") == "blue"
    site.true(app_id, status="running")


def test_a_rollback_that_shall_brings_its_variables_back(site: Site) -> None:
    app_id = site.app()
    set_variable(site, app_id, "COLOUR", "red")
    site.done("deploy", app_id)
    set_variable(site, app_id, "COLOUR", "blue")
    site.done("deploy", app_id)
    site.done("rollback", app_id, version=1, restore_env=True)
    assert variable(site, app_id, "COLOUR") == "red"
    site.done("restart", app_id)
    site.done("deploy", app_id)
    assert variable(site, app_id, "COLOUR") == "red"


def test_a_rollback_that_fails_leaves_the_variables_alone(site: Site) -> None:
    app_id = site.app()
    set_variable(site, app_id, "COLOUR", "red")
    site.done("deploy", app_id)
    set_variable(site, app_id, "COLOUR", "blue")
    site.done("deploy", app_id)
    site.runtime.fail_start = "no room"
    assert site.done("rollback", app_id, version=1, restore_env=True).status == "failed"
    site.runtime.fail_start = None
    site.done("deploy", app_id)
    assert variable(site, app_id, "COLOUR") == "blue"


def test_an_environment_change_takes_the_code_that_runs_when_its_turn_comes(site: Site, shop: str) -> None:
    gate = Gate(site)
    second = site.ask("deploy", shop)
    site.eventually(gate.reached.is_set)
    change = site.ask("env_deployment", shop)
    gate.opened.set()
    site.quiet()
    assert site.deployment(change.id).slug_id == site.deployment(second.id).slug_id
    assert site.read(shop).current_version == change.version


def test_scaling_up_and_down_changes_only_what_must_change(site: Site, shop: str) -> None:
    before = {r.id for r in site.replicas(shop)}
    site.done("scale", shop, replicas=4)
    site.true(shop, status="running", web=4)
    assert before <= {r.id for r in site.replicas(shop)}
    site.done("scale", shop, replicas=2)
    site.true(shop, status="running", web=2)


def fewer_by_mending(site: Site, app_id: str) -> None:
    with site.platform.database.transaction() as session:
        session.get_one(App, app_id).formation = {"web": 1}
    site.reconciled()


@pytest.mark.parametrize(
    "fewer", [lambda site, app_id: site.done("scale", app_id, replicas=1), fewer_by_mending], ids=["scale", "mend"]
)
def test_the_route_follows_who_gets_another_container_because_others_leave(
    site: Site, shop: str, fewer: Callable[[Site, str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a cluster: which container ends is not ours to say, and who loses his gets one of those that leave."""
    site.done("scale", shop, replicas=3)
    (first,) = [r for r in site.replicas(shop) if r.process_type == "web" and r.position == 1]
    moves: list[str] = []

    def retire(leaving: Collection[str]) -> None:
        kept = site.machine.kept
        other = next((r for r in sorted(leaving) if r in kept and kept[r].container.port is not None), None)
        if other is None or moves:
            return
        moves.append(other)
        kept[first.id], kept[other] = kept[other], kept[first.id]
        for replica_id in (first.id, other):
            kept[replica_id].container = replace(kept[replica_id].container, id=replica_id)

    monkeypatch.setattr(site.runtime, "heals", True, raising=False)
    monkeypatch.setattr(site.runtime, "retire", retire)
    fewer(site, shop)
    assert moves
    assert site.backends(shop) == {site.runtime.get(first.id).address} != {first.address}
    site.true(shop, status="running")


def test_an_app_without_web_replicas_is_stopped_for_its_visitors(site: Site, shop: str) -> None:
    site.done("scale", shop, replicas=0)
    site.true(shop, status="running", web=0)
    assert site.router.leads_to("shop.apps.example") == Page.STOPPED
    site.done("scale", shop, replicas=0, process_type="worker")
    site.true(shop, status="stopped", web=0, worker=0)


def test_an_app_without_a_web_process_has_no_route_and_runs(site: Site) -> None:
    app_id = site.app(files={"Procfile": "worker: work\n"})
    site.done("deploy", app_id)
    site.true(app_id, status="running", web=0)
    assert site.router.leads_to("shop.apps.example") is None
    assert site.reconciled().mended == 0


def test_a_process_type_that_a_new_version_no_longer_has_ends(site: Site, shop: str) -> None:
    site.commit("shop", {"Procfile": "web: serve\n"})
    site.done("deploy", shop)
    site.true(shop, status="running", worker=0)


def test_a_restart_replaces_every_replica(site: Site, shop: str) -> None:
    before = {r.id for r in site.replicas(shop)}
    site.done("restart", shop)
    site.true(shop, status="running")
    assert not before & {r.id for r in site.replicas(shop)}


def test_a_restart_that_fails_leaves_what_runs_and_the_next_one_works(site: Site, shop: str) -> None:
    before = {r.id for r in site.replicas(shop)}
    site.runtime.fail_start = "no room"
    site.done("restart", shop)
    site.reconciled()
    site.true(shop, status="running")
    assert {r.id for r in site.replicas(shop)} == before
    assert any("no room" in message for message in site.messages("app.operation_failed"))
    site.runtime.fail_start = None
    site.done("restart", shop)
    site.true(shop, status="running")
    assert not before & {r.id for r in site.replicas(shop)}


def test_a_scale_that_fails_keeps_the_old_number(site: Site, shop: str) -> None:
    site.runtime.fail_start = "no room"
    site.done("scale", shop, replicas=3)
    site.reconciled()
    site.true(shop, status="running")
    assert site.read(shop).formation["web"] == 1


def test_stop_and_start_again(site: Site, shop: str) -> None:
    site.done("stop", shop)
    site.true(shop, status="stopped", web=0, worker=0)
    assert site.router.leads_to("shop.apps.example") == Page.STOPPED
    site.done("restart", shop)
    site.true(shop, status="running")


def test_a_deployment_starts_a_stopped_app(site: Site, shop: str) -> None:
    site.done("stop", shop)
    assert site.done("deploy", shop).status == "running"
    site.true(shop, status="running")


def test_a_stopped_app_stays_stopped_when_its_deployment_fails(site: Site, shop: str) -> None:
    site.done("stop", shop)
    site.commit("shop", {"Procfile": "web: crash\n"})
    assert site.done("deploy", shop).status == "failed"
    site.reconciled()
    site.true(shop, status="stopped", web=0, worker=0)
    assert site.read(shop).wanted == "stopped"


def test_a_stop_during_a_deployment_comes_after_it(site: Site, shop: str) -> None:
    gate = Gate(site)
    deployment = site.ask("deploy", shop)
    site.eventually(gate.reached.is_set)
    site.ask("stop", shop)
    gate.opened.set()
    site.quiet()
    assert site.deployment(deployment.id).status == "running"
    site.true(shop, status="stopped", web=0, worker=0)


def test_a_one_off_command_runs_in_a_container_of_its_own(site: Site, shop: str) -> None:
    for command, code in (("passes", 0), ("fails", 3)):
        run = site.run(site.done("run", shop, command=command).id)
        assert (run.status, run.exit_code) == ("exited", code)
    site.true(shop, status="running")


def test_a_one_off_command_is_not_started_again_by_the_next_process(site: Site, shop: str) -> None:
    run = site.ask("run", shop, command="idle")
    site.eventually(lambda: [c for c in site.runtime.list() if c.kind == ContainerKind.RUN])
    site.process.engine.stop(grace_s=0)  # as an upgrade does
    site.process.thread.join(20)
    site.start()
    site.quiet()
    found = site.run(run.id)
    assert (found.status, "restarted" in (found.reason or "")) == ("failed", True)
    site.reconciled()
    site.true(shop, status="running")


def test_a_one_off_command_whose_worker_died_before_it_began_runs(site: Site, shop: str) -> None:
    site.process.engine.stop(grace_s=0)
    site.process.thread.join(20)
    run = site.ask("run", shop, command="passes")
    with site.platform.database.transaction() as session:  # as a worker leaves it that claimed it and died
        job = session.scalars(sa.select(Job).where(Job.id == run.job_id)).one()
        job.state, job.worker, job.incarnation = "running", "here", "dead"
        job.lease_until, job.fence, job.tries = site.clock.now(), 1, 1
    site.start()
    site.quiet()
    assert (site.run(run.id).status, site.run(run.id).exit_code) == ("exited", 0)


def test_a_deleted_app_leaves_its_history_and_its_name(site: Site, shop: str) -> None:
    run = site.done("run", shop, command="passes")
    assert site.printed(run.id) == ["passes ends"]
    site.done("delete", shop)
    assert (site.runtime.list(), site.router.by_key) == ((), {})
    assert [d.status for d in site.rows(sa.select(Deployment))] == ["superseded"]
    assert site.read(shop).status == "stopped"
    assert site.printed(run.id) == []
    again = site.app()  # the same name
    site.done("deploy", again)
    site.true(again, status="running")


def test_a_delete_ends_a_build(site: Site, shop: str) -> None:
    gate = Gate(site)
    deployment = site.ask("deploy", shop)
    site.eventually(gate.reached.is_set)
    site.ask("delete", shop)
    gate.opened.set()
    site.quiet()
    assert site.deployment(deployment.id).status == "cancelled"
    assert (site.runtime.list(), site.router.by_key, site.builder.builds()) == ((), {}, [])
    assert site.read(shop).status == "stopped"


def test_a_newer_request_supersedes_a_queued_one(site: Site, shop: str) -> None:
    gate = Gate(site)
    site.ask("deploy", shop)
    site.eventually(gate.reached.is_set)
    queued, change, back = (
        site.ask("deploy", shop),
        site.ask("env_deployment", shop),
        site.ask("rollback", shop, version=1, restore_env=False),
    )
    gate.opened.set()
    site.quiet()
    statuses = [site.deployment(d.id).status for d in (queued, change, back)]
    assert statuses == ["superseded", "superseded", "running"]
    assert site.deployment(back.id).rolled_back_from == 2  # what served when its turn came
    site.true(shop, status="running")


def test_two_deploys_a_scale_a_rollback_and_a_delete_at_once_have_one_order(site: Site, shop: str) -> None:
    asked = [
        lambda: site.ask("deploy", shop),
        lambda: site.ask("scale", shop, replicas=3),
        lambda: site.ask("rollback", shop, version=1, restore_env=False),
        lambda: site.ask("restart", shop),
        lambda: site.ask("deploy", shop),
    ]
    errors: list[Exception] = []

    def ask(one: int) -> None:
        try:
            asked[one]()
        except Exception as error:  # noqa: BLE001  shown below
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    site.quiet()
    site.true(shop, status="running", web=3)
    newest = max(site.rows(sa.select(Deployment).where(Deployment.status == "running")), key=lambda d: d.version)
    assert site.read(shop).current_version == newest.version
    starts = site.rows(sa.select(Job).where(Job.key == f"app:{shop}", Job.started_at.is_not(None)))
    for earlier, later in itertools.pairwise(sorted(starts, key=lambda job: job.started_at)):
        assert earlier.finished_at <= later.started_at
    site.done("delete", shop)
    assert (site.runtime.list(), site.router.by_key) == ((), {})


def test_retention_keeps_what_a_rollback_may_want(site: Site, shop: str) -> None:
    for _ in range(4):
        site.done("deploy", shop)
    slugs = {row.id: row for row in site.rows(sa.select(Slug))}
    kept = [d.version for d in site.rows(sa.select(Deployment)) if slugs[d.slug_id].removed_at is None]
    assert sorted(kept) == [3, 4, 5]
    for row in slugs.values():
        assert site.builder.archive_path(shop, row.digest).exists() == (row.removed_at is None)
    with pytest.raises(Conflict):
        site.ask("rollback", shop, version=1, restore_env=False)
    assert site.done("rollback", shop, version=3, restore_env=False).status == "running"


def test_a_slug_in_use_is_never_removed(site: Site, shop: str) -> None:
    site.done("rollback", shop, version=1, restore_env=False)
    for _ in range(4):
        site.commit("shop", {"Procfile": "web: crash\n"})
        assert site.done("deploy", shop).status == "failed"
    site.done("restart", shop)
    site.true(shop, status="running")


def test_the_status_of_an_app_is_true_all_the_way(site: Site) -> None:
    app_id = site.app()
    assert site.read(app_id).status == "created"
    seen: list[str] = []
    site.builder.steps = lambda _request: seen.append(site.read(app_id).status)
    site.commit("shop", {"Procfile": "web: crash\n"})
    site.done("deploy", app_id)
    assert (seen, site.read(app_id).status) == (["building"], "failed")
    assert site.router.leads_to("shop.apps.example") == Page.CRASHED
    site.commit("shop", {"Procfile": "web: serve\n"})
    site.done("deploy", app_id)
    assert site.read(app_id).status == "running"
    with site.platform.database.reading() as session:
        assert session.get_one(App, app_id).status_reason is None
