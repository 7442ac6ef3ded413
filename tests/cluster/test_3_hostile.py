"""A hostile tenant's container tries everything around it: nothing answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from git_http import GitHttpServer
from site_under_test import Client

from cluster import SOCKET, Cluster

pytestmark = [pytest.mark.root, pytest.mark.timeout(1200)]

PROBER = """
import concurrent.futures, http.server, json, os, socket, urllib.parse
def reach(place):
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        return "open"
    except OSError as error:
        return type(error).__name__
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if "file" in query:
            try:
                answer = repr(os.listdir(query["file"]) if os.path.isdir(query["file"]) else open(query["file"]).read())
            except OSError as error:
                answer = type(error).__name__
        elif "places" in query:
            places = query["places"].split(",")
            with concurrent.futures.ThreadPoolExecutor(64) as pool:
                answer = json.dumps(dict(zip(places, pool.map(reach, places))))
        else:
            answer = "here"
        self.send_response(200); self.end_headers(); self.wfile.write(answer.encode())
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def prober(mallory: Client, repositories: GitHttpServer) -> str:
    files = {"server.py": PROBER, "requirements.txt": "", "Procfile": "web: python server.py\n"}
    repositories.make("prober", files)
    mallory.create("prober", repositories.url("prober"), plan="standard", replicas=3)
    mallory.deployed("prober")
    return "prober"


def tried(mallory: Client, prober: str, **query: str) -> set[str]:
    """What its replicas, on several machines, find."""
    return {mallory.get(prober, "/", params=query).text for _ in range(6)}


def reached(mallory: Client, prober: str, places: Iterable[tuple[str, int]]) -> set[str]:
    """Those of the places that answer one of its replicas."""
    asked = [f"{host}:{port}" for host, port in places]
    found: set[str] = set()
    for start in range(0, len(asked), 64):
        for text in tried(mallory, prober, places=",".join(asked[start : start + 64])):
            found |= {place for place, answer in json.loads(text).items() if answer == "open"}
    return found


def services(grown: Cluster) -> list[tuple[str, str]]:
    """(name, address) of every task's place in every network but mallory's."""
    with grown.first.speaking() as engine:
        names = {each["ID"]: each["Spec"] for each in engine.get("/services")}
        tasks: list[dict[str, Any]] = engine.get("/tasks", filters={"desired-state": ["running"]})
    return [
        (names[task["ServiceID"]]["Name"], attached["Addresses"][0].partition("/")[0])
        for task in tasks
        for attached in task.get("NetworksAttachments") or ()
        if task["ServiceID"] in names and attached.get("Addresses")
    ]


def test_the_prober_itself_works(mallory: Client, prober: str) -> None:
    assert tried(mallory, prober) == {"here"}
    there = [("127.0.0.1", 5000), ("pypi.org", 443)]
    assert reached(mallory, prober, there) == {"127.0.0.1:5000", "pypi.org:443"}


def test_other_tenants_and_the_platform_are_out_of_reach(
    grown: Cluster, ada: Client, target: str, mallory: Client, prober: str
) -> None:
    ids = {ada.app(target)["id"][-12:], "skypanel-"}
    addresses = {address for name, address in services(grown) if any(part in name for part in ids)}
    assert len(addresses) >= 5
    assert reached(mallory, prober, [(a, port) for a in addresses for port in (5000, 5432, 8000, 80)]) == set()


def test_names_of_the_platform_lead_nowhere(mallory: Client, prober: str) -> None:
    names = [("skypanel-postgres", 5432), ("skypanel-server", 8000), ("skypanel-registry", 5000),
             ("registry.skypanel.internal", 5000)]  # fmt: skip
    assert reached(mallory, prober, names) == set()


def test_machines_their_engines_and_the_metadata_address_are_out_of_reach(
    grown: Cluster, repositories: GitHttpServer, mallory: Client, prober: str
) -> None:
    places = [("169.254.169.254", 80), (grown.fabric.host, repositories.port), ("172.17.0.1", 80), ("172.18.0.1", 80)]
    for node in grown.fabric.nodes.values():
        places += [(node.address, port) for port in (2377, 7946, 5000, 8000)]
    places += [("172.18.0.1", port) for port in (2377, 5000, 7946)]
    places += [(f"172.18.0.{n}", port) for n in range(2, 12) for port in (5432, 8000)]
    assert reached(mallory, prober, places) == set()


def test_the_engines_socket_and_the_platforms_files_are_not_there(grown: Cluster, mallory: Client, prober: str) -> None:
    for path in (SOCKET, "/var/run/docker.sock", str(grown.data_dir), str(grown.edge_dir)):
        assert tried(mallory, prober, file=path) <= {"FileNotFoundError", "PermissionError"}, path
