"""Platforms with real containers, and a machine in the neighbourhood that they may or may not reach."""

from __future__ import annotations

import random
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from containers import SOURCES, free_network

from skypanel.drivers.runtime.oci import OciRuntime
from skypanel.drivers.runtime.port import Container, ContainerKind, ContainerSpec, Exit, Limits, RunLimits

CONNECT = """
import concurrent.futures, socket, sys
def attempt(target):
    host, port = target.rsplit(":", 1)
    try: socket.create_connection((host, int(port)), timeout=0.7).close(); return f"{target} open"
    except OSError as error: return f"{target} closed {error}"
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(*pool.map(attempt, sys.argv[1:]), sep="\\n")
"""


@dataclass
class Platform:
    runtime: OciRuntime
    data_dir: Path
    instance: str
    subnet: IPv4Network
    layer: Path
    started: list[Container] = field(default_factory=list)

    def spec(self, command: list[str], **changes: Any) -> ContainerSpec:
        values: dict[str, Any] = {
            "id": f"i-{uuid.uuid4().hex[:12]}", "kind": ContainerKind.REPLICA, "app_id": "app-1",
            "organization_id": "org-1", "name": "web.1", "command": command, "env": {}, "uid": 31_235,
            "limits": Limits(cpu_millis=1000, memory_mb=128, disk_mb=16, pids=64), "layers": [self.layer],
        }  # fmt: skip
        return ContainerSpec(**(values | changes))

    def serve(self, **changes: Any) -> Container:
        """A replica that answers HTTP (see `containers.SERVER`)."""
        return self.runtime.start(self.spec(["/usr/bin/python3", "-c", SOURCES["server"]], port=True, **changes))

    def run(self, command: list[str], *, time_s: float = 30, **changes: Any) -> tuple[Exit, str]:
        lines: list[bytes] = []
        limits = RunLimits(time_s=time_s, output_bytes=1 << 20)
        spec = self.spec(command, kind=ContainerKind.RUN, **changes)
        result = self.runtime.run(spec, limits=limits, on_output=lines.append, cancelled=lambda: False)
        return result, b"".join(lines).decode()

    def shell(self, script: str, **changes: Any) -> tuple[Exit, str]:
        return self.run(["/bin/bash", "-c", f"exec 2>&1; {script}"], **changes)

    def reachable(self, *targets: str, **changes: Any) -> set[str]:
        """Which of these `address:port` a container can connect to."""
        _, output = self.run(["/usr/bin/python3", "-c", CONNECT, *targets], **changes)
        answers = dict(line.split(" ")[:2] for line in output.splitlines())
        assert answers.keys() == set(targets), output
        return {target for target, answer in answers.items() if answer == "open"}


MakePlatform = Callable[..., Platform]


@pytest.fixture
def make_platform(tmp_path: Path) -> Iterator[MakePlatform]:
    made: list[Platform] = []

    def make(**options: Any) -> Platform:
        instance = uuid.uuid4().hex[:8]
        subnet = free_network()
        data_dir = tmp_path / instance
        runtime = OciRuntime(data_dir=data_dir, instance=instance, subnet=subnet, node="here", **options)
        layer = data_dir / "layers" / "one"
        layer.mkdir(parents=True)
        (layer / "hello.txt").write_text("from the layer")
        made.append(Platform(runtime, data_dir, instance, subnet, layer))
        runtime.prepare()
        return made[-1]

    yield make
    for platform in made:
        platform.runtime.destroy()
        platform.runtime.close()


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    return make_platform()


@dataclass
class Neighbour:
    """A machine beyond this one, with an HTTP server on a private and on the metadata address."""

    address: str
    metadata: str
    port: int
    netns: str
    gateway: str  # this machine, as it sees it


@pytest.fixture
def neighbour() -> Iterator[Neighbour]:
    name = f"nb{uuid.uuid4().hex[:6]}"
    # Somewhere in the private and in the link-local range: another test run may be going on beside this one.
    draw = random.SystemRandom().randrange
    near = IPv4Network((f"172.31.{draw(256)}.{draw(64) * 4}", 30))
    outside, inside = (str(address) for address in near.hosts())
    metadata = f"169.254.{draw(1, 255)}.{draw(1, 255)}"

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    ip("netns", "add", name)
    server = None
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", f"{outside}/30", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "addr", "add", f"{inside}/30", "dev", "eth0")
        ip("-n", name, "addr", "add", f"{metadata}/32", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        ip("route", "add", f"{metadata}/32", "via", inside)
        server = subprocess.Popen(
            ["ip", "netns", "exec", name, "/usr/bin/python3", "-m", "http.server", "8099"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        yield Neighbour(inside, metadata, 8099, name, outside)
    finally:
        if server is not None:
            server.kill()
            server.wait()
        ip("netns", "del", name)
        subprocess.run(["ip", "link", "del", name], check=False, stderr=subprocess.DEVNULL)
