"""A whole cluster on one machine: `skypanel cluster init` on the first of some engines, `join` on the others."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from engines import CACHE, Fabric, Node, archives, fabric
from site_under_test import Client, eventually

from skypanel.manage.cluster import images

ROOT = Path(__file__).resolve().parents[2]
SKYPANEL = str(Path(sys.executable).with_name("skypanel"))
STACK, PLATFORM = "skypanel/stack:24", "skypanel/platform:latest"
POSTGRES, REGISTRY = "skypanel/postgres:15", "skypanel/registry:2"
SOCKET = "/run/docker/docker.sock"


def packages() -> Path:
    """The platform installed into a directory, its dependencies once per set of versions."""
    pins = (ROOT / "constraints.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    base = CACHE / f"packages-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not base.exists():
        draft = base.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        images.install_packages(draft)
        draft.rename(base)
    target = base / "skypanel"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "skypanel", target, ignore=shutil.ignore_patterns("__pycache__"))
    return base


@dataclass
class Cluster:
    fabric: Fabric
    env: dict[str, str]
    http: httpx.Client

    @property
    def first(self) -> Node:
        return next(iter(self.fabric.nodes.values()))

    @property
    def data_dir(self) -> Path:
        return Path(self.env["SKYPANEL_DATA_DIR"])

    @property
    def url(self) -> str:
        return f"http://{self.first.address}"

    @property
    def port(self) -> int:
        return 80

    def init(self, *arguments: str, on: Node | None = None, env: dict[str, str] | None = None) -> str:
        node = on or self.first
        return node.run(
            SKYPANEL, "cluster", "init", "--advertise", node.address, "--edge-dir", str(self.edge_dir), *arguments,
            env=env or self.env,
        )  # fmt: skip

    def join(self, name: str, *arguments: str) -> str:
        """A further machine, with what the first one says."""
        token = self.first.run(SKYPANEL, "cluster", "token", env=self.env).strip()
        node = self.fabric.nodes[name]
        return node.run(SKYPANEL, "cluster", "join", token, "--advertise", node.address, "--edge-dir",
                        str(self.edge_dir), *arguments, env=self.env)  # fmt: skip

    @property
    def edge_dir(self) -> Path:
        return self.fabric.directory / "edge"

    def admin(self) -> Client:
        """The platform's operator, made on the first machine and signed in."""
        password = "a long password of root"
        self.first.run(SKYPANEL, "admin", "create", "--email", "root@example.org",
                       env=self.env | {"SKYPANEL_ADMIN_PASSWORD": password})  # fmt: skip
        body = {"email": "root@example.org", "password": password}
        content = self.http.post(f"{self.url}/api/auth/login", json=body).json()
        return Client(self, content["token"], "")  # type: ignore[arg-type]

    def register(self, name: str) -> Client:
        body = {"email": f"{name}@example.org", "password": f"a long password of {name}", "name": name,
                "organization": name}  # fmt: skip

        def once() -> httpx.Response | None:
            answer = self.http.post(f"{self.url}/api/auth/register", json=body)
            return answer if answer.status_code == 201 else None

        content = eventually(once, what="a registration").json()
        return Client(self, content["token"], content["organizations"][0]["id"])  # type: ignore[arg-type]


def load_images(node: Node) -> None:
    names = images.Names(stack=STACK, platform=PLATFORM, postgres=POSTGRES, registry=REGISTRY)
    with node.speaking() as engine:
        images.build_foundations(engine, names, *archives(), say=print)
        images.build_platform(engine, names, packages(), say=print)


@contextmanager
def cluster(*names: str, **settings: str) -> Iterator[Cluster]:
    """Engines of these names; the first has the images. Nothing is initialised yet."""
    with fabric() as made:
        made.own = (str(made.directory / "edge"), "/etc/docker/certs.d")
        for name in names:
            made.add(name)
        env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("SKYPANEL_")},
            "SKYPANEL_DATA_DIR": str(made.directory / "shared"),
            "SKYPANEL_DOCKER_SOCKET": SOCKET,
            "SKYPANEL_HTTP_PORT": "80", "SKYPANEL_HTTPS_PORT": "443", "SKYPANEL_SIGNUP_CREDIT": "1000",
            "SKYPANEL_STACK_IMAGE": STACK, "SKYPANEL_PLATFORM_IMAGE": PLATFORM,
            "SKYPANEL_POSTGRES_IMAGE": POSTGRES, "SKYPANEL_REGISTRY_IMAGE": REGISTRY,
            "SKYPANEL_GIT_ALLOWED_PRIVATE_HOSTS": made.host,
            "SKYPANEL_REGISTRATIONS_PER_QUARTER": "1000",
            **settings,
        }  # fmt: skip
        load_images(made.nodes[names[0]])
        with httpx.Client(timeout=60, trust_env=False) as http:
            yield Cluster(made, env, http)
