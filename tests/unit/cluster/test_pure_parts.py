"""What the cluster decides without asking anybody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from skypanel.drivers.engine.client import EngineFailed, agreed_version
from skypanel.drivers.runtime.port import ContainerKind, ContainerSpec, Group, Limits
from skypanel.drivers.runtime.swarm.claims import Claim, exchange, free_task, leave, read_claims, write_claim
from skypanel.drivers.runtime.swarm.names import LONGEST, secret_name, service_name
from skypanel.drivers.runtime.swarm.service import Reserved, Surroundings, service, variables
from skypanel.drivers.runtime.swarm.tasks import Task, moment, reason
from skypanel.instance import Instance
from skypanel.kit.ids import as_name
from skypanel.kit.secret import Secret
from skypanel.manage.cluster import firewall, stack
from skypanel.manage.cluster.init import Options, choices_of
from skypanel.manage.cluster.join import Invitation
from skypanel.manage.cluster.prune import prune
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

MOMENT = datetime(2026, 1, 2, tzinfo=UTC)
AROUND = Surroundings("abcd1234", "stack", "network", Reserved())


def task(name: str, slot: int = 1, state: str = "running", wanted: str = "running") -> Task:
    return Task(name, "s", slot, "node", state, wanted, "", None, "c", {"network": f"10.0.0.{slot}"}, MOMENT, MOMENT)


def spec(**changes: Any) -> ContainerSpec:
    values: dict[str, Any] = {
        "id": "web-1", "kind": ContainerKind.REPLICA, "app_id": "a", "organization_id": "o", "name": "web.1",
        "command": ["run"], "env": {"DYNO": "web.1", "TOKEN": Secret("sesame")}, "uid": 31_000,
        "limits": Limits(1000, 512, 100), "port": True, "group": Group("shop-v1", 1, 2),
    }  # fmt: skip
    return ContainerSpec(**(values | changes))


@pytest.mark.parametrize(
    ("newest", "oldest", "agreed"),
    [("1.41", "1.12", "1.41"), ("1.47", "1.24", "1.47"), ("1.52", "1.44", "1.52"), ("1.60", "1.44", "1.52")],
)
def test_engines_from_20_10_to_29_are_spoken_to(newest: str, oldest: str, agreed: str) -> None:
    assert agreed_version(newest, oldest) == agreed


@pytest.mark.parametrize(("newest", "oldest", "remedy"), [("1.40", "1.12", "install"), ("1.70", "1.60", "upgrade")])
def test_others_are_refused_with_the_remedy(newest: str, oldest: str, remedy: str) -> None:
    with pytest.raises(EngineFailed, match=remedy):
        agreed_version(newest, oldest)


def test_a_replica_claims_the_task_of_its_own_place_or_the_first_that_is_free() -> None:
    tasks = [task("t2", 2), task("t1", 1), task("t3", 3), task("dead", 4, "failed", "shutdown")]
    claims = {"web-1": Claim("t1", "web.1")}
    assert free_task(tasks, claims, 3) == tasks[2]
    assert free_task(tasks, claims, 9) == tasks[0]
    assert free_task(tasks[1:2], claims, 1) is None
    assert free_task(tasks[3:], {}, 4) is None


def test_claims_survive_being_written_into_labels() -> None:
    claim = Claim("t1", "web.1", address="10.0.0.1", code=0, ended="2026-01-02T00:00:00+00:00", leaving=True)
    assert read_claims({"skypanel.replica.web-1": write_claim(claim), "other": "x"}) == {"web-1": claim}


def test_who_stays_takes_over_the_task_that_goes_on() -> None:
    """web-3 leaves; the swarm has told web-1's task to go."""
    claims = {f"web-{n}": Claim(f"t{n}", f"web.{n}", address=f"10.0.0.{n}", leaving=n == 3) for n in (1, 2, 3)}
    tasks = {"t1": task("t1", 1, wanted="remove"), "t2": task("t2", 2), "t3": task("t3", 3)}
    changed = exchange(claims, tasks)
    assert {i: (c.task, c.address, c.name) for i, c in changed.items()} == {
        "web-1": ("t3", "10.0.0.3", "web.1"),
        "web-3": ("t1", "10.0.0.1", "web.3"),
    }


def test_nothing_is_exchanged_when_the_swarm_ends_who_leaves() -> None:
    claims = {f"web-{n}": Claim(f"t{n}", f"web.{n}", leaving=n == 2) for n in (1, 2)}
    assert exchange(claims, {"t1": task("t1"), "t2": task("t2", 2, wanted="remove")}) == {}


def test_who_is_marked_as_leaving_is_so_once() -> None:
    claims = {f"web-{n}": Claim(f"t{n}", f"web.{n}", leaving=n == 2) for n in (1, 2, 3)}
    assert leave(claims, {"web-2", "web-3", "web-4"}) == {"web-3": Claim("t3", "web.3", leaving=True)}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("No such image: shop@sha256:12", "image is missing"),
        ("no suitable node (insufficient resources on 3 nodes)", "memory or CPU"),
        ("no suitable node (scheduling constraints not satisfied on 1 node)", "no machine of the cluster fits"),
        ("task: non-zero exit (137): dockerexec: unhealthy container", "health checks failed"),
        ("could not find an available, non-overlapping IPv4 address pool", "no free network address pool"),
        ("something new", "something new"),
    ],
)
def test_what_the_engine_says_becomes_a_sentence(said: str, words: str) -> None:
    assert words in str(reason(said))


def test_a_plain_exit_says_nothing_that_its_code_does_not() -> None:
    assert reason("task: non-zero exit (3)") is None
    assert reason("") is None


def test_moments_of_the_engine_are_read_whatever_their_fraction() -> None:
    assert moment("2026-01-02T03:04:05.123456789Z").microsecond == 123456
    assert moment("2026-01-02T03:04:05.5Z").microsecond == 500000
    assert moment("2026-01-02T03:04:05Z").microsecond == 0


def test_a_service_shows_no_value_and_knows_its_place_by_the_swarm() -> None:
    made = service(spec(), AROUND, secret=("id", "name"), labels={}, replicas=2)
    assert "sesame" not in str(made)
    container = made["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["DYNO=web.{{.Task.Slot}}"]
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["User"] == "31000:31000"
    assert made["Mode"]["Replicated"]["Replicas"] == 2
    assert made["EndpointSpec"]["Mode"] == "dnsrr"
    assert b"TOKEN=sesame\0" in variables(spec())
    assert b"DYNO=" not in variables(spec())


def test_names_fit_the_engine_and_differ_where_their_owners_do() -> None:
    long = spec(group=Group("x" * 80, 1, 1))
    assert len(service_name("abcd1234", long)) <= LONGEST
    assert len(secret_name(service_name("abcd1234", long))) <= 63
    names = {service_name("abcd1234", spec(organization_id=o)) for o in ("org-1", "org-2")}
    assert len(names) == 2


def test_process_types_that_look_alike_get_names_of_their_own() -> None:
    assert as_name("web") == "web"
    assert len({as_name(text) for text in ("my_worker", "my-worker", "MY-worker", "m" * 20, "m" * 21)}) == 5


def test_the_firewall_names_what_is_ours_and_refuses_the_rest() -> None:
    text = firewall.rules(
        platform=["172.18.0.3"], resolvers=["10.255.255.53"], allowed=["10.1.0.0/16"], machines=["192.0.2.11"],
        ports=(80, 443),
    )  # fmt: skip
    assert "ip saddr { 172.18.0.3 } accept" in text
    for refused in ("169.254.0.0/16", "10.0.0.0/8", "192.0.2.11", "meta nfproto ipv6 drop"):
        assert refused in text
    assert "ip daddr { 10.1.0.0/16 } accept" in text


def test_parts_of_the_platform_differ_by_everything_but_the_ids_of_their_secrets() -> None:
    part = stack.Part("registry", "image", files=[stack.File("key", b"secret")])
    first = stack.spec(part, secrets={})
    with_id = stack.spec(part, secrets={part.files[0].called("registry"): "id-1"})
    assert "secret" not in str(first["TaskTemplate"]["ContainerSpec"]["Secrets"][0]["SecretName"])
    other = stack.spec(stack.Part("registry", "image", files=[stack.File("key", b"other")]), secrets={})
    assert first["Labels"] != other["Labels"]
    assert first["TaskTemplate"]["ContainerSpec"]["Secrets"] != with_id["TaskTemplate"]["ContainerSpec"]["Secrets"]


def test_what_opens_private_repositories_is_a_secret_of_the_workers_alone(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a private key")
    settings = Settings(
        data_dir=tmp_path, git_https_token="sesame", git_ssh_key_file=key, mail_url="smtp://a:sesame@mail"
    )
    found = choices_of(settings, Instance("i", 64_010, 64_010, "", 1), Options(), subnet="10.0.0.0/24")
    worker, server = stack.worker_part(found), stack.server_part(found)
    assert [(file.name, file.content) for file in worker.files] == [
        ("git_https_token_file", b"sesame"), ("git_ssh_key_file", b"a private key"),
        ("mail_url_file", b"smtp://a:sesame@mail"),
    ]  # fmt: skip
    assert worker.env["SKYPANEL_GIT_HTTPS_TOKEN_FILE"] == "/run/secrets/git_https_token_file"
    assert server.files == ()
    shown = str([stack.spec(part, secrets={}) for part in (worker, server)])
    assert "sesame" not in shown
    assert "private key" not in shown
    inside = Settings(data_dir=tmp_path, git_https_token_file=tmp_path / "token")
    (tmp_path / "token").write_text("sesame\n")
    assert inside.token is not None
    assert inside.token.reveal() == "sesame"


def test_an_invitation_is_one_line_and_nonsense_is_refused(tmp_path: Path) -> None:
    invited = Invitation(["192.0.2.1"], "w", "m", "r:5000", "u", "p", "ca", "e", "image", "stack", {"A": "1"})
    assert "\n" not in invited.text()
    assert Invitation.read(invited.text()) == invited
    with pytest.raises(CannotStart, match="token"):
        Invitation.read("nonsense")


def test_pruning_is_for_a_cluster(tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match="No cluster keeps its data"):
        prune(Settings(data_dir=tmp_path), print)
