"""What a hostile or careless build can do: nothing beyond its own directories and limits."""
# ruff: noqa: E501 - tables of cases, one a line

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from skypanel.drivers.builder.port import BuildCancelled, BuildFailed, BuildLimits
from skypanel.drivers.source.memory import File

if TYPE_CHECKING:
    from conftest import Site
else:
    Site = Any

pytestmark = pytest.mark.root


def pack(site: Site, text: str) -> list[str]:
    program = File(f"#!/usr/bin/env bash\n{text}\n".encode(), "100755")
    return [site.buildpack("hostile", {"bin/detect": File(b"#!/bin/sh\necho x", "100755"), "bin/compile": program})]


@pytest.mark.parametrize(
    ("text", "limits", "code"),
    [
        ("sleep 60", BuildLimits(time_s=2), "build_timeout"),
        ("python3 -c 'x = bytearray(400_000_000)'; exit 1", BuildLimits(memory_mb=128), "build_memory"),
        ("yes 'more output' | head -c 3000000; sleep 60", BuildLimits(output_bytes=100_000), "build_output"),
        ('head -c 60000000 /dev/urandom > "$1/big"; sleep 60', BuildLimits(disk_mb=20), "build_disk"),
        ('head -c 3000000 /dev/urandom > "$1/big"; echo "web: x" > "$1/Procfile"', BuildLimits(slug_mb=1), "slug_too_large"),
    ],
)  # fmt: skip
def test_every_limit_ends_the_build_with_its_own_reason(site: Site, text: str, limits: BuildLimits, code: str) -> None:
    request = site.request({"a": ""}, buildpacks=pack(site, text), limits=limits)

    with pytest.raises(BuildFailed) as failed:
        site.builder.build(request, log=site.lines.append, cancelled=lambda: False)

    assert failed.value.code == code
    assert site.left_behind(request.id) == []


def test_a_build_is_cancelled_in_the_middle_and_leaves_nothing(site: Site) -> None:
    started = threading.Event()
    request = site.request({"a": ""}, buildpacks=pack(site, "echo started; sleep 60"))

    def log(line: str) -> None:
        if line == "started":
            started.set()

    with pytest.raises(BuildCancelled):
        site.builder.build(request, log=log, cancelled=started.is_set)

    assert started.is_set()
    assert site.left_behind(request.id) == []
    assert site.builder.builds() == []


def test_a_build_sees_neither_the_platforms_files_nor_its_environment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYPANEL_CANARY", "c4nary")
    (site.data_dir / "keys").mkdir()
    (site.data_dir / "keys" / "master.keys").write_text("k3y")
    text = (
        f"cat {site.data_dir}/keys/master.keys 2>&1; ls {site.data_dir}/cache 2>&1; env; ls /root /home /var/lib 2>&1; id -u; "
        'cat /proc/1/environ | tr "\\0" "\\n"; touch /usr/x /etc/x /build/steps/x 2>&1; echo "web: x" > "$1/Procfile"'
    )

    site.build({"a": ""}, buildpacks=pack(site, text))

    log = "\n".join(site.lines)
    assert "k3y" not in log
    assert "c4nary" not in log
    assert "234200" in log
    assert log.count("Read-only file system") + log.count("Permission denied") >= 3


def test_links_and_special_files_that_a_build_writes_lead_nowhere(site: Site) -> None:
    secret = site.data_dir / "secret"
    secret.write_text("pl4tform")
    text = (
        f'ln -s {secret} "$1/stolen"; ln -s / "$1/root"; mkfifo "$1/pipe"; mkdir "$1/closed"; touch "$1/closed/f"; chmod 0 "$1/closed"; '
        'cp /bin/true "$1/suid"; chmod 4755 "$1/suid"; echo "web: x" > "$1/Procfile"'
    )

    slug = site.build({"a": ""}, buildpacks=pack(site, text))

    archive = site.builder.archive_path("app", slug.digest)
    assert b"pl4tform" not in archive.read_bytes()
    for layer in slug.layers:
        site.builder.layer_path(layer).rename(site.data_dir / "moved")
    (back,) = site.builder.ensure("app", 234_200, slug.digest, slug.layers)
    assert str((back / "stolen").readlink()) == str(secret)
    assert not (back / "pipe").exists()
    assert (back / "suid").stat().st_mode & 0o7000 == 0


def test_a_procfile_that_is_a_link_is_not_read(site: Site) -> None:
    secret = site.data_dir / "secret"
    secret.write_text("web: pl4tform\n")

    with pytest.raises(BuildFailed, match="No process type"):
        site.build({"a": ""}, buildpacks=pack(site, f'ln -s {secret} "$1/Procfile"'))


def test_a_damaged_archive_is_not_unpacked(site: Site) -> None:
    slug = site.build({"Procfile": "web: x\n"})
    archive = site.builder.archive_path("app", slug.digest)
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    site.builder.layer_path(slug.layers[0]).rename(site.data_dir / "moved")

    with pytest.raises(OSError, match="damaged"):
        site.builder.ensure("app", 234_200, slug.digest, slug.layers)


def test_what_a_dead_worker_left_is_listed_and_cleaned(site: Site) -> None:
    left = site.data_dir / "builds" / "01900000-0000-7000-8000-000000000001"
    (left / "app").mkdir(parents=True)

    assert site.builder.builds() == [left.name]
    site.builder.clean(left.name)
    assert site.builder.builds() == []
