"""Names that tenants choose, on their way into host names, files of the router, containers and command lines: refused,
or harmless wherever they go. One hostile value never breaks or reaches another application's route."""

from __future__ import annotations

import json
import re
import string
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skypanel.apps.create import draft_app
from skypanel.apps.rules import HealthCheck
from skypanel.builds import names as buildpacks
from skypanel.builds.launch import launch
from skypanel.deployments.plan import Slot
from skypanel.deployments.replicas import container_id
from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.builder.procfile import parse as parse_procfile
from skypanel.drivers.builder.sandbox.release import parse_release
from skypanel.drivers.router.memory import MemoryRouter
from skypanel.drivers.router.port import Backend, Page, Route, RouterFailed
from skypanel.drivers.router.traefik import files
from skypanel.drivers.router.traefik.config import RouterConfig, platform_file
from skypanel.drivers.router.traefik.driver import TraefikRouter
from skypanel.drivers.runtime.exits import ID
from skypanel.drivers.source.port import FetchFailed
from skypanel.drivers.source.urls import parse as parse_url
from skypanel.errors import Invalid
from skypanel.kit.ids import new_id
from skypanel.kit.slug import slugify
from skypanel.routing.hosts import app_hosts

PIECES = [
    "`", "`)", "Host(`", "Host(`victim.apps.test`)", " || ", "&&", "PathPrefix(`/`)", "HostRegexp(`.*`)", "{{", "}}",
    "{{env `HOME`}}", "{{ range }}", "\n", "\r\n", "\0", '"', "'", "\\", "/", "../", "..", "*", "*.", ".", "-", "--",
    "@file",
    "@internal", "api@internal", "app-", "-tls", "%0a", "%00", "$(id)", "`id`", "; id", "| id", "&", "#", "<script>",
    "\x1b[2J",
    "\u202e", "\u2028", "ä", "ı", "xn--", "a", "b", "victim", "platform", "0", ":80", "@", " ", "\t", "É", "\ud800",
]  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=60)
hosts = hostile | hostile.map(lambda text: f"{text}.apps.test")
addresses = hostile | st.sampled_from(["10.210.0.2", "::1", "127.0.0.1", "fe80::1%eth0", "010.0.0.1", "1", "0x7f.1"])
routes = st.builds(
    Route,
    key=hostile | st.just("0190-ab"), name=hostile | st.just("mallory"), hosts=st.lists(hosts, max_size=3).map(tuple),
    backends=st.lists(st.builds(Backend, addresses, st.integers(-1, 70_000) | st.booleans()), max_size=2).map(tuple),
    page=st.none() | st.sampled_from(list(Page)),
    health_path=st.none() | hostile | hostile.map(lambda text: f"/{text}"),
    health_timeout_s=st.integers(-1, 4000),
)  # fmt: skip
MALLORY = Route(key="0190-ab", name="mallory", hosts=("mallory.apps.test",), backends=(Backend("10.210.0.3", 5000),))
# One hostile value in a route that is right otherwise; nothing else hides whether it passed.
one_hostile = st.one_of(
    hostile.map(lambda text: replace(MALLORY, key=text)), hostile.map(lambda text: replace(MALLORY, name=text)),
    hosts.map(lambda text: replace(MALLORY, hosts=(text,))),
    hosts.map(lambda text: replace(MALLORY, hosts=("a.test", text))),
    addresses.map(lambda text: replace(MALLORY, backends=(Backend(text, 1),))),
    hostile.map(lambda text: replace(MALLORY, health_path=f"/{text}", backends=(Backend("::1", 1), Backend("::2", 1)))),
)  # fmt: skip
VICTIM = Route(key="victim", name="victim", hosts=("victim.apps.test",), backends=(Backend("10.210.0.2", 5000),))
RULE = re.compile(r"Host\(`[a-z0-9._-]+`\)(?: \|\| Host\(`[a-z0-9._-]+`\))*")


def names_in(content: dict[str, Any], *kinds: str) -> set[str]:
    return {name for kind in kinds for name in content["http"].get(kind, {})}


@settings(max_examples=600)
@given(one_hostile | routes)
@example(Route(key="x", name="x", hosts=("a`) || Host(`victim.apps.test",), backends=(Backend("10.0.0.1", 1),)))
@example(Route(key="victim-tls", name="x", hosts=("x.apps.test",), backends=(Backend("10.0.0.1", 1),)))
def test_a_route_is_refused_or_it_is_of_its_own_application_alone(route: Route) -> None:
    try:
        content = files.render(route)
    except RouterFailed as refused:
        assert "\n" not in str(refused)
        with pytest.raises(RouterFailed):
            MemoryRouter().put(route)
        return
    own = files.router_name(route.key)
    assert re.fullmatch(r"app-[A-Za-z0-9-]+", own)
    assert re.fullmatch(r"[a-z0-9-]+", route.name)
    checked = content["http"].get("services", {}).get(own, {}).get("loadBalancer", {}).get("healthCheck")
    assert checked is None or re.fullmatch(r"/[!-z~]*", checked["path"]), checked
    assert names_in(content, "routers") == {own, own + files.TLS_SUFFIX}
    assert names_in(content, "services", "middlewares") == {own}
    for router in content["http"]["routers"].values():
        assert RULE.fullmatch(router["rule"])
        assert set(re.findall(r"`([^`]*)`", router["rule"])) == set(route.hosts)
        assert router["priority"] == files.RANK_APP
        assert router["service"] in (own, files.PLATFORM_SERVICE)
        shared = {"clean", "retry", *(files.page_middleware(page.value) for page in Page)}
        assert set(router["middlewares"]) <= {own} | shared
    written = files.text(content)
    assert "{{" not in written
    assert json.loads(written) == json.loads(json.dumps(content))


@given(hostile, hostile)
def test_no_value_is_a_template_in_a_file(name: str, text: str) -> None:
    content = {name: [text, {text: name}], "both": name + text}
    try:
        written = files.text(content)
    except UnicodeEncodeError:
        return
    assert "{{" not in written
    assert json.loads(written) == content


@settings(max_examples=100, deadline=None)
@given(st.lists(one_hostile | routes, max_size=5))
def test_the_victims_file_stays_what_it_was_whatever_others_put(made: list[Route]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for below in ("dynamic", "staging"):
            (directory / below).mkdir()
        router = TraefikRouter(directory=directory, host="127.0.0.1", http_port=1)
        router.put(VICTIM)
        before = (directory / "dynamic" / "app-victim.yml").read_bytes()
        for route in made:
            if route.key == VICTIM.key:
                continue
            try:
                router.put(route)
            except (RouterFailed, ValueError):
                continue
        for route in made:
            try:
                if route.key != VICTIM.key:
                    router.remove(route.key)
            except (RouterFailed, ValueError):
                continue
        assert (directory / "dynamic" / "app-victim.yml").read_bytes() == before
        assert {path.name for path in directory.iterdir()} == {"dynamic", "staging"}
        assert not list((directory / "staging").iterdir())


def test_no_slug_can_make_a_host_that_is_the_platforms(tmp_path: Path) -> None:
    """Should an application's name and the dashboard's be the same, the dashboard is what answers."""
    config = RouterConfig(
        directory=tmp_path, host="127.0.0.1", http_port=1, https_port=2, server_url="http://127.0.0.1:9",
        dashboard_host="panel.apps.test",
    )  # fmt: skip
    of_app = files.render(replace(VICTIM, hosts=("panel.apps.test",)))["http"]["routers"]["app-victim"]
    of_platform = platform_file(config, secret="s")["http"]["routers"]["platform"]
    assert of_platform["rule"] == of_app["rule"]
    assert of_platform["priority"] > of_app["priority"]


@settings(max_examples=400)
@given(hostile, hostile, hostile, hostile, hostile)
def test_what_an_app_is_made_of_is_refused_or_plain(name: str, slug: str, branch: str, pack: str, path: str) -> None:
    def check(url: str) -> None:
        parse_url(url)

    for given_ in (
        {"name": name}, {"slug": slug}, {"branch": branch}, {"buildpack": pack}, {"git_url": f"https://h/{path}"},
        {"health": HealthCheck(path=path)}, {"health": HealthCheck(path=f"/{path}")},
    ):  # fmt: skip
        try:
            draft = draft_app(**{"name": "Shop", "git_url": "https://h/x", "check_git_url": check, **given_})
        except (Invalid, FetchFailed):
            continue
        assert draft.name.isprintable()
        if draft.slug is not None:
            assert re.fullmatch(r"[a-z][a-z0-9-]{1,38}[a-z0-9]", draft.slug)
            assert len(app_hosts(subdomain=draft.slug, default_domain="apps.test")[0].split(".")[0]) <= 63
        assert not draft.branch.startswith("-")
        assert draft.branch.isprintable()
        for text in (draft.git_url, draft.health.path, *draft.buildpacks):
            assert text.isascii()
            assert text.isprintable()
            assert not text.startswith("-")


@given(hostile)
def test_a_slug_made_of_any_name_is_plain(name: str) -> None:
    assert set(slugify(name)) <= set(string.ascii_lowercase + string.digits + "-")


@given(hostile)
def test_no_short_name_of_a_buildpack_is_anything_but_known(name: str) -> None:
    try:
        target = buildpacks.resolve({}, name)
    except buildpacks.UnknownBuildpack:
        return
    assert target.startswith(("builtin:", "https://github.com/heroku/")) or target == name.strip()
    if target == name.strip() and not target.startswith("builtin:"):
        assert buildpacks._URL.fullmatch(target)


class _Named:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@settings(max_examples=300)
@given(hostile, hostile)
def test_process_types_of_a_procfile_make_ids_that_name_nothing_else(name: str, command: str) -> None:
    for text in (f"{name}: {command}", f"web: {command}\n{name}: x"):
        try:
            types = parse_procfile(text)
        except BuildFailed as failed:
            assert "\n" not in str(failed)
            continue
        for process_type, line in types.items():
            made = container_id(_Named(id=new_id()), _Named(version=1), Slot(process_type, 1))  # type: ignore[arg-type]
            assert ID.fullmatch(made)
            # The line is an argument of its own; nothing is pasted into the script that starts it.
            assert launch(line)[:3] == launch("x")[:3]
            assert launch(line)[-1] == line


BOMBS = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join('*' + chr(97 + n) for _ in range(10))}]\n" for n in range(4)
    ) + "addons: *e\ndefault_process_types:\n  web: *e\n",
    "merges": "a: &a {x: 1}\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join('*' + chr(97 + n) for _ in range(30))}]}}\n" for n in range(4)
    ),
    "nesting": "a: " + "[" * 20_000,
    "a length": "a: " + "x" * 900_000,
    "a date": "a: 2001-99-99",
    "a number": "a: " + "9" * 10_000,
    "an object": "!!python/object/apply:os.system ['id']",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_a_buildpacks_release_prints_unfolds_to_nothing(name: str) -> None:
    with pytest.raises(BuildFailed, match="no valid YAML"):
        parse_release(BOMBS[name], buildpack="evil")


def test_only_plain_values_of_a_buildpacks_release_are_taken() -> None:
    text = (
        "addons: [a, {b: c}]\ndefault_process_types: {web: run, 'a b': x, list: [1], '-x': y}\n"
        "config_vars: {A: 1, 'B;C': 2, D: {}}\n"
    )
    release = parse_release(text, buildpack="fine")
    assert (dict(release.process_types), dict(release.config_vars)) == ({"web": "run", "-x": "y"}, {"A": "1"})
