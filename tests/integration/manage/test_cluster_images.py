"""`skypanel cluster images`: what the engine is asked for, and what is refused. Nothing is unpacked or downloaded."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

import pytest
from engine_stand_in import StandIn

from skypanel.manage.cluster import images
from skypanel.manage.cluster.images import make_images
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

# httpcore leaves a socket that could not be connected to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

OURS = ["skypanel/stack:24", "postgres:15", "registry:2", "skypanel/platform:latest"]


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, with debootstrap; what takes minutes is made in no time."""

    def archives(*paths: Path) -> None:
        for path in paths:
            with tarfile.open(path, "w"):
                pass

    def packages(target: Path) -> None:
        (target / "skypanel").mkdir(parents=True)

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/sbin/{name}")
    monkeypatch.setattr(images, "root_archives", archives)
    monkeypatch.setattr(images, "install_packages", packages)


def settings_of(engine: StandIn, **changes: str) -> Settings:
    return Settings(docker_socket=engine.socket, data_dir=engine.socket.parent / "data", **changes)


@pytest.mark.usefixtures("able")
def test_every_image_that_init_asks_for_is_made_under_its_name(engine: StandIn) -> None:
    said: list[str] = []
    make_images(settings_of(engine), said.append, platform_only=False)
    assert [name for name in engine.images if name in OURS] == OURS
    assert [line for line in said if line.endswith(": made")] == [f"{name}: made" for name in OURS]
    assert "debian" in said[0].lower()
    assert "cluster init" in said[-1]


@pytest.mark.usefixtures("able")
def test_names_of_the_settings_may_have_a_registry_with_a_port_and_no_tag(engine: StandIn) -> None:
    make_images(
        settings_of(engine, platform_image="mirror:5000/panel", stack_image="mirror:5000/stack:24"), print,
        platform_only=False,
    )  # fmt: skip
    assert {"mirror:5000/stack:24", "mirror:5000/panel-dependencies:latest", "mirror:5000/panel"} <= set(engine.images)


@pytest.mark.usefixtures("able")
def test_for_an_upgrade_the_platforms_image_alone_is_made_on_the_stack_that_is_there(engine: StandIn) -> None:
    with pytest.raises(CannotStart, match="--platform-only"):
        make_images(settings_of(engine), print, platform_only=True)
    engine.images.append("skypanel/stack:24")
    make_images(settings_of(engine), print, platform_only=True)
    assert engine.images == ["skypanel/stack:24", "skypanel/platform-dependencies:latest", "skypanel/platform:latest"]


@pytest.mark.usefixtures("able")
def test_what_the_engine_refuses_is_one_line(engine: StandIn) -> None:
    engine.known["POST /images/create"] = {"error": "no space left on device"}
    with pytest.raises(CannotStart, match="skypanel/stack:24 cannot be made: no space left on device"):
        make_images(settings_of(engine), print, platform_only=False)


@pytest.mark.usefixtures("able")
def test_without_root_debootstrap_or_engine_it_says_what_is_missing(
    engine: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.stop()
    with pytest.raises(CannotStart, match=r"apt-get install docker\.io"):
        make_images(settings_of(engine), print, platform_only=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(CannotStart, match="apt-get install debootstrap"):
        make_images(settings_of(engine), print, platform_only=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(CannotStart, match="root"):
        make_images(settings_of(engine), print, platform_only=False)


@pytest.mark.usefixtures("able")
def test_an_image_that_is_named_by_its_digest_is_not_made(engine: StandIn) -> None:
    with pytest.raises(CannotStart, match="SKYPANEL_STACK_IMAGE"):
        make_images(settings_of(engine, stack_image=f"stack@sha256:{'0' * 64}"), print, platform_only=False)
    assert engine.done == []
