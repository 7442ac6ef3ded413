"""Real Docker engines on one machine: each in a network namespace of its own, joined by a bridge in another one.

fab (bridge) ── 10.200.x.1 this machine, which forwards to the outside
             ├─ 10.200.x.11 m1   dockerd, its data, its own mounts and host name
             └─ 10.200.x.12 w1 …
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pyroute2 import netns

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.manage.cluster import images

CACHE = Path("/var/cache/skypanel-tests")
STACK = "skypanel/stack:test"

_START = """
n=$1; D=$2; OWN=$3; shift 3
hostname "$n"
mkdir -p /run/docker "$D/run"
mount -t tmpfs tmpfs /run/docker
for own in $OWN; do mkdir -p "$own" "$D/own$own"; mount --bind "$D/own$own" "$own"; done
echo "127.0.0.1 localhost $n" >"$D/hosts"; mount --bind "$D/hosts" /etc/hosts
exec env -i PATH="$PATH" HOME=/ dockerd --data-root "$D/data" --exec-root "$D/run" --pidfile "$D/pid" \
  -H "unix://$D/docker.sock" -H unix:///run/docker/docker.sock "$@"
"""


def sh(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout


@dataclass
class Node:
    """One machine of the cluster."""

    name: str
    address: str
    directory: Path
    namespace: str
    process: subprocess.Popen[bytes] | None = None
    arguments: Sequence[str] = ()
    own: Sequence[str] = ()  # directories that each machine has for itself, at the same path

    @property
    def socket(self) -> Path:
        return self.directory / "docker.sock"

    @property
    def engine(self) -> EngineClient:
        """To be closed by whoever asks."""
        return EngineClient(self.socket)

    @contextlib.contextmanager
    def speaking(self) -> Iterator[EngineClient]:
        with self.engine as engine:
            yield engine

    def start(self) -> None:
        """Again when it ends by itself, as systemd does: on a busy machine it may give its containerd up."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for _ in range(3):
            if self._starts():
                return
        raise AssertionError((self.directory / "log").read_text()[-3000:])

    def _starts(self) -> bool:
        (self.directory / "pid").unlink(missing_ok=True)
        command = ["nsenter", f"--net=/run/netns/{self.namespace}", "unshare", "--uts", "--mount", "--propagation",
                   "private", "sh", "-ec", _START, "sh", self.name, str(self.directory), " ".join(self.own),
                   *self.arguments]  # fmt: skip
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                listens = probe.connect_ex(str(self.socket)) == 0
            # It listens before it answers: it looks after what runs first.
            with contextlib.suppress(EngineFailed), EngineClient(self.socket, timeout_s=60) as engine:
                if listens:
                    _ = engine.version
                    return True
            time.sleep(0.1)
        return False

    def run(self, *command: str, env: dict[str, str] | None = None, timeout: float = 600) -> str:
        """On this machine, as it sees itself. Fails with the output."""
        assert self.process is not None
        inside = ["nsenter", "-t", str(self.process.pid), "-n", "-m", "-u", *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=timeout, env=env)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def kill(self) -> None:
        """kill -9 of the engine (and of its containerd); what runs goes on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        for pid in self._pids("containerd --config", "containerd/containerd.toml"):
            os.kill(pid, signal.SIGKILL)

    def _pids(self, *words: str) -> list[int]:
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if str(self.directory) in line and any(word in line for word in words):
                    found.append(int(entry.name))
        return found

    def destroy(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()  # nothing of it is kept, and its own way out takes half a minute
            self.process.wait()
        pids = self._pids("")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._kill_containers()

    def _kill_containers(self) -> None:
        """Those whose root is below our directory: their shims are gone already."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                mounts = (entry / "mountinfo").read_text()
            except OSError:
                continue
            if f"upperdir={self.directory}" in mounts and int(entry.name) != os.getpid():
                root = next((line for line in mounts.splitlines() if " / / " in line or line.split()[4] == "/"), "")
                if str(self.directory) in root:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(entry.name), signal.SIGKILL)


@dataclass
class Fabric:
    directory: Path
    tag: str
    network: str  # "10.200.7"
    nodes: dict[str, Node] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    own: Sequence[str] = ()

    @property
    def host(self) -> str:
        return f"{self.network}.1"

    def make(self) -> None:
        fab = f"fab{self.tag}"
        sh("ip", "netns", "add", fab)
        sh("ip", "-n", fab, "link", "add", "br0", "type", "bridge")
        sh("ip", "-n", fab, "link", "set", "br0", "up")
        sh("ip", "link", "add", fab, "type", "veth", "peer", "name", "host", "netns", fab)
        sh("ip", "-n", fab, "link", "set", "host", "master", "br0", "up")
        sh("ip", "addr", "add", f"{self.host}/24", "dev", fab)
        sh("ip", "link", "set", fab, "up")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        rules = f"""
table ip skypanel-{fab} {{
  chain out {{
    type nat hook postrouting priority 100;
    ip saddr {self.network}.0/24 oifname != "{fab}" masquerade
  }}
}}
"""
        subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    def add(self, name: str) -> Node:
        fab, namespace = f"fab{self.tag}", f"{name}-{self.tag}"
        address = f"{self.network}.{11 + len(self.nodes)}"
        sh("ip", "netns", "add", namespace)
        sh("ip", "-n", namespace, "link", "set", "lo", "up")
        sh("ip", "link", "add", "eth0", "netns", namespace, "type", "veth", "peer", "name", name, "netns", fab)
        sh("ip", "-n", fab, "link", "set", name, "master", "br0", "up")
        sh("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        sh("ip", "-n", namespace, "link", "set", "eth0", "up")
        sh("ip", "-n", namespace, "route", "add", "default", "via", self.host)
        node = self.nodes[name] = Node(
            name, address, self.directory / name, namespace, arguments=self.arguments, own=self.own
        )
        node.start()
        return node

    def cut(self, name: str) -> None:
        """The node's cable is pulled."""
        sh("ip", "-n", f"fab{self.tag}", "link", "set", name, "down")

    def mend(self, name: str) -> None:
        sh("ip", "-n", f"fab{self.tag}", "link", "set", name, "up")

    def destroy(self) -> None:
        for node in self.nodes.values():
            node.destroy()
        for name in [*(node.namespace for node in self.nodes.values()), f"fab{self.tag}"]:
            sh("ip", "netns", "del", name, check=False)
        sh("ip", "link", "del", f"fab{self.tag}", check=False)
        sh("nft", "delete", "table", "ip", f"skypanel-fab{self.tag}", check=False)
        _unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)


def _unmount_below(directory: Path) -> None:
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if p.startswith(f"{directory}/")), key=len, reverse=True):
        sh("umount", "-l", point, check=False)


@contextlib.contextmanager
def fabric(*names: str, arguments: Sequence[str] = ()) -> Iterator[Fabric]:
    """Engines by name, running, none of them in a swarm yet."""
    tag = f"{random.randrange(16**4):04x}"
    made = Fabric(Path(tempfile.mkdtemp(prefix="skypanel-engines-", dir="/var/tmp")), tag,
                  f"10.200.{random.randrange(1, 255)}", arguments=arguments)  # fmt: skip
    try:
        made.make()
        for name in names:
            made.add(name)
        yield made
    finally:
        made.destroy()


def swarm_init(node: Node, pool: str = "10.96.0.0/12", size: int = 24) -> None:
    body = {"AdvertiseAddr": node.address, "ListenAddr": f"{node.address}:2377", "DefaultAddrPool": [pool],
            "SubnetSize": size}  # fmt: skip
    with node.speaking() as engine:
        engine.post("/swarm/init", body, timeout_s=60)


@contextlib.contextmanager
def inside(pid: int) -> Iterator[None]:
    """This thread, and those it starts, in the network of a process."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        with open(f"/proc/{pid}/ns/net") as other:  # noqa: PTH123
            netns.setns(other.fileno())
        yield
    finally:
        netns.setns(own)
        os.close(own)


def stack_archive() -> Path:
    """A root file system of Debian packages, made once per machine: no image can be pulled here."""
    return archives()[0]


def archives() -> tuple[Path, Path]:
    """The stack's, and the one with PostgreSQL and the registry besides."""
    key = hashlib.sha256(repr((images.STACK, images.SERVICES, images.TRIMMED, images.SUITE)).encode()).hexdigest()[:12]
    stack, services = CACHE / f"stack-{key}.tar", CACHE / f"services-{key}.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (stack.exists() and services.exists()):
            images.root_archives(stack, services)
    return stack, services


def import_image(node: Node, archive: Path, name: str) -> None:
    with node.speaking() as engine:
        images.import_root(engine, archive, name)


@pytest.fixture(scope="session")
def swarm_node() -> Iterator[Node]:
    """An engine that is a swarm of its own and has the image that containers run in."""
    with fabric("m1") as made:
        node = made.nodes["m1"]
        import_image(node, stack_archive(), STACK)
        swarm_init(node)
        yield node
