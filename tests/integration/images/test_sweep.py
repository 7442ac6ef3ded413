"""The registry's disk is given back, and nothing with it that anybody wants."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from publishing_place import UID, Place, place_in

from skypanel.drivers.builder.images import Freed, RegistryFailed
from skypanel.drivers.builder.images.sweep import ASIDE


def test_what_no_image_names_any_more_leaves_the_disk_and_can_be_published_again(place: Place) -> None:
    builder = place.builder()
    old, kept = place.slug("old.py"), place.slug("new.py")
    gone, target = builder.image("app", UID, old), builder.image("app", UID, kept)
    digests, own = place.pull(gone), place.pull(gone) - place.pull(target)
    builder.remove_slug("app", old.digest, old.layers, keep_layers=kept.layers)
    place.let_hours_pass()
    sizes = sum(place.blob(digest).stat().st_size for digest in own)

    freed = place.sweep().run()

    assert freed.blobs == len(own) + 1, "the manifest too"
    assert freed.size > sizes
    assert place.blobs().isdisjoint(own)
    for digest in own:
        assert not place.registry.has_blob("apps/app", digest), "whoever asks has to upload it"
    place.pull(target)
    assert builder.image("app", UID, old) == gone
    assert place.pull(gone) == digests
    assert place.blobs() >= own
    assert not list(place.files.glob(f"{ASIDE}*"))


def test_with_nothing_to_take_nothing_is_taken(place: Place, tmp_path: Path) -> None:
    target = place.builder().image("app", UID, place.slug("main.py"))
    place.let_hours_pass()
    assert place.sweep().run() == Freed()
    place.pull(target)
    place.files = tmp_path / "none"
    assert place.sweep().run() == Freed(), "a registry of the operator's own"


def test_what_has_come_just_now_waits_for_its_manifest(place: Place) -> None:
    """However old its content is: it may have been there for another application."""
    digest = place.registry.put_bytes("apps/one", b"a layer")
    place.let_hours_pass()
    place.registry.put_bytes("apps/two", b"a layer")
    assert place.sweep().run() == Freed()
    place.let_hours_pass()
    assert place.sweep().run().blobs == 1
    assert digest not in place.blobs()


def test_what_engines_push_stays(place: Place) -> None:
    """An engine that was told a layer is there gives up when it is not."""
    digest = place.registry.put_bytes("skypanel/platform", b"a layer of the platform's image")
    place.let_hours_pass()
    assert place.sweep().run() == Freed()
    assert place.registry.has_blob("skypanel/platform", digest)


def test_what_a_request_under_way_names_is_put_back(place: Place) -> None:
    """The registry had found every blob when they were put aside, and writes the manifest's links only then."""
    reference = place.builder().image("app", UID, place.slug("main.py"))
    digests = place.pull(reference)
    revision = place.files / "docker/registry/v2/repositories/apps/app/_manifests/revisions/sha256"
    link = next(revision.glob("*/link"))
    text = link.read_text()
    place.unname(reference)
    place.let_hours_pass()
    waits: list[float] = []

    def wait(seconds: float) -> None:
        if not waits:
            assert place.blobs().isdisjoint(digests - place.base())
            link.parent.mkdir(parents=True, exist_ok=True)
            link.write_text(text)
        waits.append(seconds)

    assert place.sweep().run(wait) == Freed()
    assert waits
    assert place.pull(reference) == digests


def test_broken_off_it_leaves_everything_as_it_was(place: Place) -> None:
    place.unname(place.builder().image("app", UID, place.slug("main.py")))
    place.let_hours_pass()
    before = place.blobs()
    assert place.sweep().run(lambda _: True) == Freed(), "asked to stop"
    assert place.blobs() >= before

    def end(_: float) -> None:
        assert not place.blobs() >= before
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.sweep().run(end)
    assert place.blobs() >= before


def test_what_a_killed_one_had_put_aside_is_put_back_by_the_next(place: Place) -> None:
    place.unname(place.builder().image("app", UID, place.slug("main.py")))
    place.let_hours_pass()
    before = place.blobs()
    program = f"""
import os
from pathlib import Path
from skypanel.drivers.builder.images import Registry, Sweep
Sweep(Registry({place.registry.url!r}), Path({str(place.files)!r}), ours="apps").run(lambda _: os.kill(os.getpid(), 9))
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == -signal.SIGKILL
    assert not place.blobs() >= before
    (place.files / f"{ASIDE}1" / ("0" * 64)).mkdir(parents=True)  # of one that was killed while it deleted
    place.sweep().run(lambda _: True)
    assert place.blobs() >= before
    assert not list(place.files.glob(f"{ASIDE}*"))


def test_two_at_once_go_one_after_the_other(place: Place) -> None:
    place.unname(place.builder().image("app", UID, place.slug("main.py")))
    place.let_hours_pass()
    with ThreadPoolExecutor() as pool:
        found = [made.result().blobs for made in [pool.submit(place.sweep().run) for _ in range(2)]]
    assert min(found) == 0
    assert max(found) > 0


def test_with_a_manifest_that_cannot_be_read_nothing_is_taken(place: Place) -> None:
    builder = place.builder()
    place.unname(builder.image("app", UID, place.slug("old.py")))
    damaged = builder.image("app", UID, place.slug("new.py"))
    assert damaged is not None
    place.blob(damaged.partition("@")[2]).write_bytes(b"")
    place.let_hours_pass()
    before = place.blobs()
    with pytest.raises(RegistryFailed, match=r"apps/app .* lost or damaged"):
        place.sweep().run()
    assert place.blobs() >= before


def test_a_registry_that_goes_on_naming_what_is_gone_loses_nothing(tmp_path: Path) -> None:
    with place_in(tmp_path, cached=True) as place:
        place.unname(place.builder().image("app", UID, place.slug("main.py")))
        place.let_hours_pass()
        before = place.blobs()
        with pytest.raises(RegistryFailed, match="cache of its own"):
            place.sweep().run()
        assert place.blobs() >= before


ROUNDS = 20


def test_images_published_meanwhile_are_complete_and_rollback_targets_always_are(place: Place) -> None:
    """Each round has blobs that no image names, of which one publisher is told that they are there, and which another
    one uploads although they are there, at another moment of the sweep each time."""
    builder = place.builder()
    target = builder.image("app-1", UID, place.slug("target.py", toolchains=["python-3"]))
    assert target is not None
    slug = place.slug("main.py", base="main-deps", toolchains=["python-4"])
    over = threading.Event()

    def pull_on() -> int:
        count = 0
        while not over.is_set():
            place.pull(target)
            count += 1
        return count

    def publish(app: str, delay_s: float) -> str | None:
        time.sleep(delay_s)
        return builder.image(app, UID, slug)

    with ThreadPoolExecutor() as pool:
        pulls = pool.submit(pull_on)
        try:
            for number in range(ROUNDS):
                place.let_hours_pass()
                sweep = pool.submit(place.sweep(settle_s=0.2).run)
                apps = ("app-1", f"app-{number + 2}")
                for made in [pool.submit(publish, app, number * 0.02) for app in apps]:
                    place.pull(made.result())
                sweep.result()
                for app in apps:
                    reference = builder.image(app, UID, slug)
                    place.pull(reference)
                    place.unname(reference)
        finally:
            over.set()
        assert pulls.result() > ROUNDS
    place.let_hours_pass()
    assert place.sweep().run().blobs > 0
    assert place.blobs() == place.pull(target) | place.base() | {target.partition("@")[2]}
