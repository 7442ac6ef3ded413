"""Reasons that a developer can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from skypanel.apps.models import App
from skypanel.deployments.health import Verdict, is_alive, why_crashed, why_dead, why_not_started
from skypanel.deployments.models import Replica
from skypanel.drivers.runtime.port import Container, ContainerKind, ContainerStatus

APP = App(slug="shop", memory_mb=512, health_type="http", health_path="/", health_timeout_s=5)
WEB = Replica(process_type="web", position=1, address="10.0.0.2", port=5000)


def ended(code: int | None, *, oom: bool = False) -> Container:
    return Container(
        "c",
        ContainerKind.REPLICA,
        "a",
        "o",
        "web.1",
        ContainerStatus.EXITED,
        None,
        None,
        Path("log"),
        "plain",
        None,
        None,
        code,
        oom,
    )


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (None, "its container is gone"),
        (ended(3), "it exited with code 3"),
        (ended(127), "its command was not found (exit code 127)"),
        (ended(139), "it was ended by signal 11"),
        (ended(137, oom=True), "it needed more memory than the plan's 512 MB"),
    ],
)
def test_the_end_of_a_replica_is_told_in_words(container: Container | None, words: str) -> None:
    assert why_dead(container, APP) == words


def test_a_process_type_that_is_meant_to_end_is_no_crash_and_the_way_out_is_named() -> None:
    job = Replica(process_type="import", position=1)

    assert "`skypanel scale shop 0 --process import`" in why_crashed(ended(0), APP, job)
    assert why_crashed(ended(1), APP, job).startswith("import.1 crashed while starting: it exited with code 1")
    assert "has to keep running and listen on 0.0.0.0:$PORT" in why_crashed(ended(0), APP, WEB)


@pytest.mark.parametrize(
    ("verdict", "listening", "code", "part"),
    [
        (Verdict(False, "x", refused=True), ("0.0.0.0:8000",), "port_ignored", "listens on 0.0.0.0:8000"),
        (Verdict(False, "x", refused=True), ("127.0.0.1:5000",), "port_loopback", "bind to 0.0.0.0:$PORT"),
        (Verdict(False, "x", refused=True), (), "port_unbound", "did not listen"),
        (Verdict(False, "it answers 404 at /"), (), "health_status", "answers 404 at /"),
        (Verdict(False, "it answers 400 at /"), (), "health_status", "ALLOWED_HOSTS"),
        (Verdict(False, "no answer within 5 s"), (), "health_timeout", "no answer within 5 s"),
    ],
)
def test_a_replica_that_never_became_healthy_gets_a_reason_that_helps(
    verdict: Verdict, listening: tuple[str, ...], code: str, part: str
) -> None:
    got, sentence = why_not_started(APP, WEB, verdict, listening, 60)
    assert got == code
    assert part in sentence


@pytest.mark.parametrize(("status", "alive"), [(200, True), (302, True), (401, True), (404, False), (500, False)])
def test_which_answers_count_as_alive(status: int, alive: bool) -> None:
    assert is_alive(status) is alive
