"""The pages of machines: for platform admins alone, with the rules of the API."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import sqlalchemy as sa
from machines_world import (
    ADMIN,
    M1,
    M2,
    M3,
    W1,
    W2,
    asked,
    every_state,
    look,
    lost,
    make_cluster,
    place,
    takes_visitors,
)

from skypanel.accounts.models import User
from skypanel.drivers.machines import Machine
from skypanel.jobs import Job
from skypanel.nodes.models import Availability, Node

if TYPE_CHECKING:
    from conftest import Browser

Open = Callable[[], "Browser"]
LIST, NEW = "/admin/machines", "/admin/new-machine"


def jobs(world: Any) -> list[str]:
    with world.database.reading() as session:
        return list(session.scalars(sa.select(Job.kind).where(Job.queue == "nodes").order_by(Job.seq)))


def availability(world: Any, name: str) -> str | None:
    with world.database.reading() as session:
        return session.scalar(sa.select(Node.availability).where(Node.name == name))


def row(text: str, name: str) -> str:
    """Of the table."""
    return text.partition(f">{name}</a>")[2].partition("</tr>")[0]


# --- what is seen


def test_each_machine_is_shown_with_its_state_and_what_is_used(world: Any, admin: Open) -> None:
    every_state(world)
    someone = admin()
    text = someone.go(LIST)
    for name, *shown in (
        ("m1", "manager", "ingress", "ready", "2 of 4", "2 GB of 8 GB"),
        ("m2", "manager", "drained"),
        ("m3", "manager", "lost", "4 min ago"),
        ("w1", "worker", "192.0.2.21", "ready", "10 of 8", "10 GB of 15.6 GB", "share full", "moments&nbsp;ago"),
        ("w2", "draining", "could not be moved: blog"),
        ("192.0.2.98", "joining"),
        ("192.0.2.99", "failed", "Connection refused"),
    ):
        for word in shown:
            assert word in row(text, name), (name, word)
    assert "ingress" not in row(text, "w1")
    assert '<rect width="50%"' in row(text, "m1")
    assert '<rect width="100%"' in row(text, "w1")
    assert "m3 is lost since 2026-05-01 12:04 UTC; its replicas are started elsewhere." in text
    assert "192.0.2.99 did not join" in text
    assert f'href="{NEW}"' in text


def test_a_machines_page_shows_what_runs_there_and_links_ones_own(world: Any, admin: Open) -> None:
    every_state(world)
    text = admin().go(f"{LIST}/w1")
    for shown in ("192.0.2.21", "10 of 8", "web.3", "healthy", "Theirs", "Rival"):
        assert shown in text
    assert '<a href="/apps/shop">Shop</a>' in text
    assert "/apps/theirs" not in text
    assert "Blog" not in text, "that runs elsewhere"


def test_a_lost_machine_is_seen_from_every_page(world: Any, admin: Open) -> None:
    make_cluster(world)
    look(world, M1, M2, W1)
    someone = admin()
    assert " lost" not in someone.go("/apps")
    look(world, M1, lost(M2), lost(W1))
    for page in ("/apps", "/members", "/apps/new", LIST):
        assert '<span class="mark">2 lost</span>' in someone.go(page), page


def test_one_machine_is_shown_and_how_it_grows(world: Any, admin: Open) -> None:
    look(world, M1)
    someone = admin()
    text = someone.go(LIST)
    assert "m1" in text
    assert "skypanel cluster adopt" in text
    assert NEW not in text
    page = someone.go(f"{LIST}/m1")
    assert "<form" not in page.partition("<main")[2]
    assert f"{LIST}/m1/" not in page
    assert someone.go(f"{LIST}/m1/drain").count("No other machine could take what runs on m1") == 1
    assert "<form" not in someone.answer.text.partition("<main")[2]
    someone.go(NEW)
    assert someone.answer.url.path == LIST
    text = someone.submit(NEW, host="192.0.2.99", private_key="sesame")
    assert someone.answer.status_code == 409
    assert "can only join a cluster" in text
    assert jobs(world) == []


def test_before_the_worker_has_looked_there_is_none(world: Any, admin: Open) -> None:
    assert "No machine is known yet" in admin().go(LIST)


# --- what is asked


def test_draining_says_first_what_will_happen(world: Any, admin: Open) -> None:
    every_state(world)
    someone = admin()
    assert f'href="{LIST}/w1/drain"' in someone.go(f"{LIST}/w1")
    text = someone.go(f"{LIST}/w1/drain")
    for shown in ("5 replicas of 2 applications", "10 CPU, 10 GB", "1 other machine", "2 CPU, 6 GB", "less than that"):
        assert shown in text, shown
    assert jobs(world) == [], "looking changes nothing"
    text = someone.submit(f"{LIST}/w1/drain")
    assert someone.answer.url.path == f"{LIST}/w1"
    assert "Draining w1" in text
    assert f'action="{LIST}/w1/activate"' in text
    assert (availability(world, "w1"), jobs(world)) == ("draining", ["node.drain"])
    text = someone.submit(f"{LIST}/w1/activate")
    assert "w1 takes applications again" in text
    assert (availability(world, "w1"), jobs(world)) == ("active", ["node.drain", "node.activate"])


def test_an_ingress_machine_is_said_to_go_on_taking_visitors(world: Any, admin: Open) -> None:
    make_cluster(world)
    look(world, M1, W1)
    takes_visitors(world, "m1")
    someone = admin()
    assert "out of your DNS" in someone.go(f"{LIST}/m1/drain")
    assert "out of your DNS" not in someone.go(f"{LIST}/w1/drain")


def test_the_last_machine_that_takes_applications_is_not_drained(world: Any, admin: Open) -> None:
    make_cluster(world)
    look(world, M1, W1)
    someone = admin()
    someone.go(f"{LIST}/w1/drain")
    look(world, lost(M1), W1)
    text = someone.submit(f"{LIST}/w1/drain")
    assert someone.answer.status_code == 409
    assert text.count("No other machine could take what runs on w1.") == 1
    assert f"{LIST}/w1/drain" not in someone.go(f"{LIST}/w1")
    assert "No other machine could take" in someone.answer.text
    assert availability(world, "w1") == "active"


def test_removing_wants_the_name_typed(world: Any, admin: Open) -> None:
    every_state(world)
    look(world, M1, M2, M3, W1, W2)
    someone = admin()
    text = someone.go(f"{LIST}/m2/remove")
    assert "skypanel cluster leave" in text
    text = someone.submit(f"{LIST}/m2/remove", confirm="m1")
    assert someone.answer.status_code == 422
    assert "Type m2 to remove it." in text
    assert jobs(world) == []
    text = someone.submit(f"{LIST}/m2/remove", confirm="m2")
    assert someone.answer.url.path == LIST
    assert "m2 is taken out of the cluster" in text
    assert jobs(world) == ["node.remove"]


def test_what_may_not_be_removed_says_why(world: Any, admin: Open) -> None:
    every_state(world)
    someone = admin()
    assert f"{LIST}/w1/remove" not in someone.go(f"{LIST}/w1")
    assert "w1 is in use. Drain it first." in someone.go(f"{LIST}/w1/remove")
    text = someone.submit(f"{LIST}/w1/remove", confirm="w1")
    assert someone.answer.status_code == 409
    assert text.count("w1 is in use. Drain it first.") == 1
    look(world, M1, lost(M2), lost(M3), W1, W2)
    assert f"{LIST}/m3/remove" not in someone.go(f"{LIST}/m3")
    assert "have no majority" in someone.answer.text
    someone.submit_after(LIST, f"{LIST}/m3/remove", confirm="m3")
    assert someone.answer.status_code == 409
    assert "have no majority" in someone.answer.text
    assert jobs(world) == []


def test_one_that_did_not_join_is_forgotten_or_tried_again(world: Any, admin: Open) -> None:
    every_state(world)
    someone = admin()
    assert f"{NEW}?host=192.0.2.99" in someone.go(f"{LIST}/192.0.2.99")
    assert 'value="192.0.2.99"' in someone.go(f"{NEW}?host=192.0.2.99")
    text = someone.go(f"{LIST}/192.0.2.99/remove")
    assert "only this entry goes" in text
    assert "192.0.2.99 is forgotten" in someone.submit(f"{LIST}/192.0.2.99/remove", confirm="192.0.2.99")
    assert availability(world, "192.0.2.99") is None
    assert jobs(world) == []


def test_a_page_of_a_machine_that_is_gone_leads_to_the_list(world: Any, admin: Open) -> None:
    make_cluster(world)
    look(world, M1, W1)
    someone = admin()
    text = unescape(someone.go(f"{LIST}/192.0.2.99"))
    assert someone.answer.url.path == LIST
    assert "There is no machine '192.0.2.99'." in text
    for path in ("drain", "remove"):
        someone.go(f"{LIST}/w9/{path}")
        assert someone.answer.status_code == 404
        someone.submit_after(LIST, f"{LIST}/w9/{path}", confirm="w9")
        assert someone.answer.status_code == 404
    for verb in ("explode", "activate"):
        someone.go(f"{LIST}/w1/{verb}")
        assert someone.answer.status_code in (404, 405, 422), verb


# --- a further machine


def key_of(world: Any, host: str) -> dict[str, Any]:
    with world.database.reading() as session:
        sealed = session.get_one(Node, host).sealed
    return dict(orjson.loads(world.vault.decrypt(sealed.encode())))


def test_a_machine_is_added_by_ssh_with_a_key_that_a_browser_sent(world: Any, admin: Open, tmp_path: Path) -> None:
    make_cluster(world)
    look(world, M1)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    key = (tmp_path / "key").read_text()
    someone = admin()
    text = someone.go(NEW)
    for shown in ("skypanel cluster token", "skypanel cluster join TOKEN", "--manager", "--ingress"):
        assert shown in text
    text = someone.submit(
        NEW, host=" 192.0.2.99 ", port="2222", user="deploy", private_key=key.replace("\n", "\r\n"),
        host_key="ssh-ed25519 AAAA ", role="manager", ingress="true",
    )  # fmt: skip
    assert someone.answer.url.path == LIST
    assert "192.0.2.99 joins" in text
    assert "joining" in row(text, "192.0.2.99")
    assert jobs(world) == ["node.add"]
    kept = key_of(world, "192.0.2.99")
    (tmp_path / "kept").touch(mode=0o600)
    (tmp_path / "kept").write_text(kept.pop("private_key").strip() + "\n")  # as `manage.cluster.place` does
    read = subprocess.run(["ssh-keygen", "-y", "-f", str(tmp_path / "kept")], capture_output=True, text=True)
    assert read.stdout.split()[:2] == (tmp_path / "key.pub").read_text().split()[:2], read.stderr
    assert kept == {
        "host": "192.0.2.99", "port": 2222, "user": "deploy", "host_key": "ssh-ed25519 AAAA", "manager": True,
        "ingress": True,
    }  # fmt: skip
    for page in (LIST, f"{LIST}/192.0.2.99", NEW):
        assert "PRIVATE KEY-----\n" not in someone.go(page)
    text = someone.submit(NEW, host="192.0.2.99", private_key="again")
    assert someone.answer.status_code == 409
    assert "joins already" in text


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("host", "-oProxyCommand=x", "An address or a host name"),
        ("host", "", "An address or a host name"),
        ("port", "0", "1 to 65535."),
        ("port", "many", "1 to 65535."),
        ("user", "root;id", "A user's name on the machine"),
        ("private_key", "", "Paste the private key"),
        ("private_key", "s" * 20_001, "Paste the private key"),
        ("host_key", "ssh-ed25519 AAAA\n* ssh-rsa BBBB", "One line such as"),
        ("role", "boss", "Nothing was added"),
    ],
)
def test_a_refused_machine_says_why_and_keeps_all_but_the_key(
    world: Any, admin: Open, field: str, value: str, problem: str
) -> None:
    make_cluster(world)
    look(world, M1)
    someone = admin()
    someone.go(NEW)
    given = {"host": "192.0.2.99", "port": "22", "user": "deploy", "private_key": "sesame-open", "ingress": "true"}
    text = unescape(someone.submit(NEW, **{**given, field: value}))
    assert someone.answer.status_code == 422
    assert problem in text
    assert "sesame" not in text
    assert "sssss" not in text
    if field not in ("user", "host"):
        assert 'value="deploy"' in text
        assert 'value="192.0.2.99"' in text
    assert jobs(world) == []
    assert availability(world, "192.0.2.99") is None


# --- who and what is kept out


def test_nobody_else_sees_or_touches_machines(world: Any, admin: Open, browser: Callable[[], Browser]) -> None:
    every_state(world)
    pages = (LIST, f"{LIST}/w1", f"{LIST}/w1/drain", f"{LIST}/m2/remove", NEW, f"{LIST}/none")
    owner = browser()
    text = owner.sign_in("owner@acme.example")
    assert "/admin/" not in text
    assert "lost" not in text
    assert "/admin/" not in owner.go("/palette?q=mach")
    for page in pages:
        owner.go(page)
        assert owner.answer.status_code == 404, page
        assert "192.0.2" not in owner.answer.text
    for path in (f"{LIST}/w1/drain", f"{LIST}/w2/activate", f"{LIST}/m2/remove", NEW):
        owner.submit_after("/apps", path, confirm="m2", host="192.0.2.55", private_key="x")
        assert owner.answer.status_code == 404, path
    assert jobs(world) == []
    stranger = browser()
    for page in pages:
        stranger.go(page)
        assert stranger.answer.url.path == "/login"
    assert f'href="{LIST}"' in admin().go("/palette?q=mach")


def test_a_form_of_another_site_touches_no_machine(world: Any, admin: Open) -> None:
    every_state(world)
    someone = admin()
    someone.go(LIST)
    for path in (f"{LIST}/w1/drain", f"{LIST}/w2/activate", f"{LIST}/m2/remove", NEW):
        data = {"confirm": "m2", "host": "192.0.2.55", "private_key": "x"}
        assert someone.client.post(path, data=data).status_code == 403, path
        answer = someone.client.post(
            path, data=data | {"token": someone.token()}, headers={"Sec-Fetch-Site": "same-site"}
        )
        assert answer.status_code == 403, path
    assert jobs(world) == []
    assert availability(world, "w1") == "active"


def test_nothing_a_machine_says_becomes_markup(world: Any, admin: Open) -> None:
    make_cluster(world)
    evil = "<img src=x onerror=alert(1)>\"'&?#%"
    look(world, M1, Machine(evil, "<img src=x>", False, True, 1000, 1024), Machine("w3", evil, False, False, 1, 1))
    asked(world, evil, Availability.DRAINING, evil)
    asked(world, "192.0.2.99", Availability.FAILED, evil)
    world.release(app_id := world.app(evil))
    place(world, app_id, evil)
    someone = admin()
    text = someone.go(LIST)
    links = [part.partition('"')[0] for part in text.split(f'href="{LIST}/')[1:]]
    theirs = next(link for link in links if link.startswith("%3C"))
    text += someone.go(f"{LIST}/{theirs}")
    assert someone.answer.status_code == 200
    assert evil in unescape(someone.answer.text), "its own page, found by its name"
    text += someone.submit(f"{LIST}/{theirs}/activate")
    assert someone.answer.status_code == 200
    text += someone.go(f"{LIST}/{theirs}/drain") + someone.go(f"{LIST}/{theirs}/remove")
    text += someone.submit_after(LIST, f"{LIST}/{theirs}/remove", confirm="x") + someone.go(f"{LIST}/192.0.2.99")
    text += someone.go(f"{NEW}?host={theirs}") + someone.submit(NEW, host=evil, user=evil, host_key=evil)
    assert "<img src=x" not in text
    assert text.count("&lt;img") >= 12
    assert someone.answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_who_is_no_admin_any_more_is_shown_no_more(world: Any, admin: Open) -> None:
    every_state(world)
    someone = admin()
    someone.go(LIST)
    with world.database.transaction() as session:
        session.scalars(sa.select(User).where(User.email == ADMIN)).one().is_admin = False
    someone.go(LIST)
    assert someone.answer.status_code == 404
