"""What a hostile tenant's builds and replicas can read, reach and gain. The attempts are in tests/apps/attacker; every
one of them works where its guard is missing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import canaries
import httpx
import pytest
from git_http import GitHttpServer
from site_under_test import ROOT, Client, Site

pytestmark = pytest.mark.root

HOST_FILES = (
    "/root",
    "/etc/shadow",
    "/etc/gshadow",
    "/home",
    "/var",
    "/run",
    "/boot",
    "/sys/kernel",
    "/proc/1/root/root",
)
SOCKETS = ("/run/docker.sock", "/run/containerd/containerd.sock", "/run/runc", "/run/systemd/private")


@pytest.fixture(scope="module")
def victims_replica(platform: Site, victim: str) -> tuple[str, int]:
    """Address and port, as only the host knows them."""
    with sqlite3.connect(f"file:{platform.data_dir}/db/skypanel.db?mode=ro", uri=True) as database:
        address, port = database.execute(
            "SELECT r.address, r.port FROM replicas r JOIN apps a ON a.id = r.app_id "
            "WHERE a.slug = ? AND r.state = 'healthy'",
            (victim,),
        ).fetchone()
    assert "ada's page" in httpx.get(f"http://{address}:{port}/", trust_env=False).text
    return str(address), int(port)


@dataclass
class Service:
    """Something of the host's on every address, by TCP and UDP, and on a socket without a file."""

    port: int
    abstract: str
    datagrams: socket.socket


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    name = f"attack-{os.getpid()}"
    with (
        socket.create_server(("0.0.0.0", 0), backlog=64) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        port = int(listener.getsockname()[1])
        datagrams.bind(("0.0.0.0", port))
        datagrams.setblocking(False)
        abstract.bind(f"\0{name}")
        abstract.listen()
        yield Service(port, name, datagrams)


def inner_ports(data_dir: Path) -> list[int]:
    """What the router and everything else of the platform listens on besides its public ports."""
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    ours = {line.name for line in Path("/proc").glob("[0-9]*") if str(data_dir).encode() in _environment(line)}
    found = []
    for line in listening.splitlines():
        pids = set(re.findall(r"pid=(\d+)", line))
        if pids & ours:
            found.append(int(line.split()[3].rsplit(":", 1)[1]))
    return sorted(set(found))


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def targets(platform: Site, victims_replica: tuple[str, int], service: Service) -> dict[str, list[str]]:
    data = platform.data_dir
    instance = json.loads((data / "instance.json").read_text())
    gateway = f"{instance['network'].split('/')[0].rsplit('.', 1)[0]}.1"
    own = sorted(str(path) for path in data.iterdir())
    app = next((data / "layers").iterdir())
    inner = [str(path) for path in (*app.iterdir(), *(data / "keys").iterdir(), data / "db" / "skypanel.db")]
    address, port = victims_replica
    local = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()
    machine = next((ip for ip in local if "." in ip and not ip.startswith(gateway.rsplit(".", 1)[0])), gateway)
    reach = [f"{address}:{port}"]
    for host in ("127.0.0.1", gateway, machine):
        reach += [
            f"{host}:{p}" for p in (platform.port, platform.https_port, instance["server_port"], *inner_ports(data))
        ]
        reach += [f"{host}:{service.port}", f"udp!{host}:{service.port}"]
    return {
        "read": [*HOST_FILES, *SOCKETS, str(data), *own, *inner, f"/run/skypanel-{instance['id']}", str(ROOT)],
        "connect": [*reach, f"abstract!{service.abstract}", "169.254.169.254:80"],
    }


@pytest.fixture(scope="module")
def attacker(mallory: Client, repositories: GitHttpServer, targets: dict[str, list[str]]) -> str:
    """Mallory's app, whose build and replicas are the attack."""
    repositories.make("attacker", ROOT / "tests" / "apps" / "attacker")
    repositories.commit("attacker", {"targets.json": json.dumps(targets)})
    mallory.create("attacker", repositories.url("attacker"))
    mallory.deployed("attacker")
    return "attacker"


def posted(mallory: Client, wanted: dict[str, list[str]]) -> dict[str, Any]:
    answer = mallory.site.http.post(
        f"http://127.0.0.1:{mallory.site.port}/", json=wanted, headers={"Host": "attacker.apps.localhost"}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module", params=["a build", "a replica"])
def report(
    request: pytest.FixtureRequest, mallory: Client, attacker: str, targets: dict[str, list[str]]
) -> dict[str, Any]:
    if request.param == "a build":
        return dict(mallory.get(attacker, "/build").json()["build"])
    return posted(mallory, targets)


def test_no_file_of_the_host_or_the_platform_can_be_read(report: dict[str, Any]) -> None:
    got = {path: text for path, text in report["read"].items() if text.startswith("GOT ")}
    # Mount points of the container's own may exist; they must be as empty as they were made.
    assert {path: text for path, text in got.items() if path not in ("/var", "/run", "/home")} == {}
    assert got.get("/var", "GOT ").split()[1:] in ([], ["tmp"])
    assert got.get("/run", "GOT ") == "GOT "


def test_the_probe_itself_can_read_and_connect(mallory: Client, attacker: str) -> None:
    found = posted(mallory, {"read": ["/app/Procfile"], "connect": ["127.0.0.1:5000", "0.0.0.0:5000"]})
    assert found["read"]["/app/Procfile"].startswith("GOT web:")
    assert "GOT" in found["connect"].values(), found["connect"]


def test_neither_a_neighbour_nor_the_platform_nor_the_host_can_be_reached(
    report: dict[str, Any], targets: dict[str, list[str]], service: Service
) -> None:
    assert set(report["connect"]) == set(targets["connect"])
    assert [target for target, answer in report["connect"].items() if answer == "GOT"] == []
    with pytest.raises(BlockingIOError):
        service.datagrams.recv(100)


def test_the_targets_are_open_from_the_host(targets: dict[str, list[str]], service: Service) -> None:
    """Else the test before would hold without any firewall."""
    open_here = []
    for target in (each for each in targets["connect"][:-1] if "!" not in each):
        host, port = target.rsplit(":", 1)
        with socket.socket() as probe:
            probe.settimeout(2)
            if probe.connect_ex((host, int(port))) == 0:
                open_here.append(target)
    assert targets["connect"][0] in open_here
    assert sum(target.endswith(f":{service.port}") for target in open_here) == 3


def test_no_privilege_can_be_gained(report: dict[str, Any]) -> None:
    assert {name: answer for name, answer in report["gain"].items() if not answer.startswith("no: ")} == {}
    # Refused by the filter of system calls itself, and not because the arguments were none.
    assert {report["gain"][name] for name in report["filtered"]} <= {
        "no: Operation not permitted", "no: Function not implemented",
    }  # fmt: skip
    assert report["state"] == {
        "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2",
        "Groups": report["state"]["Groups"],
    }  # fmt: skip
    assert report["state"]["Groups"].split() in ([], [str(report["uid"])])
    assert report["uid"] >= 200_000
    assert report["set user id"] == str(report["uid"])


def test_only_harmless_devices_are_there_and_the_cgroups_look_like_roots(report: dict[str, Any]) -> None:
    harmless = {"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
                "tty", "urandom", "zero"}  # fmt: skip
    assert set(report["devices"]) <= {f"/dev/{name}" for name in harmless}
    assert {line.rsplit(":", 1)[1] for line in report["cgroups"] if ":" in line} == {"/"}


def test_every_mount_that_can_be_written_or_bound_ignores_devices_and_set_user_id(report: dict[str, Any]) -> None:
    mounts = {place: options.split(",") for place, options in report["mounts"].items()}
    assert "ro" in mounts["/"]
    weak = {
        place: options
        for place, options in mounts.items()
        if place != "/"
        and not place.startswith("/proc/")
        and ("nosuid" not in options or ("nodev" not in options and not place.startswith("/dev")))
    }
    assert weak == {}


def test_only_the_containers_own_processes_are_there(report: dict[str, Any]) -> None:
    seen = " ".join(report["processes"].values())
    assert len(report["processes"]) < 12
    for word in ("skypanel.manage", "supervisord", "traefik", "conmon", "SKYPANEL_DATA_DIR", canaries.VARIABLE):
        assert word not in seen
    assert report["left behind"] in ([], ["/tmp/left-by-a-replica"])


def test_nothing_that_a_build_started_outlives_it(attacker: str) -> None:
    left = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            left += re.findall(rb"sleep\x008639[789]", process.read_bytes())
    assert left == []


def test_a_second_build_and_its_replicas_find_nothing_of_the_first(
    mallory: Client, attacker: str, repositories: GitHttpServer
) -> None:
    assert mallory.get(attacker, "/own").json()["file"] == "untouched"
    assert mallory.get(attacker, "/own").json()["file"] == "changed by mallory"  # his own writable layer
    scaled = mallory.call("POST", f"/paas/apps/{attacker}/scale", {"replicas": 3})
    mallory.job(scaled["job_id"])
    files = [mallory.get(attacker, "/own").json()["file"] for _ in range(12)]
    assert files.count("untouched") == 2, files
    repositories.commit(attacker, {"again": "1"})
    mallory.deployed(attacker)
    assert mallory.get(attacker, "/build").json()["build"]["left behind"] == []
    assert posted(mallory, {"read": [], "connect": []})["left behind"] == []
    assert mallory.get(attacker, "/own").json()["file"] == "untouched"
