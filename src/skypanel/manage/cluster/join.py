"""`skypanel cluster token` and `join`: one line that a further machine needs, and what it does with it."""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from skypanel.drivers.builder.images import Registry
from skypanel.drivers.engine.client import EngineClient
from skypanel.kit.secret import Secret
from skypanel.manage.cluster import edge_node, stack, trust
from skypanel.manage.cluster.place import Place
from skypanel.manage.cluster.swarm import Swarm
from skypanel.manage.keys import EDGE
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings

Say = Callable[[str], None]
READY_S = 60.0


@dataclass(frozen=True)
class Invitation:
    """What a machine has to know to become part of the cluster. A secret."""

    managers: list[str]
    worker_token: str
    manager_token: str
    registry: str
    registry_user: str
    registry_password: str
    registry_ca: str
    edge_token: str
    platform_image: str
    stack_image: str
    env: dict[str, str]
    registry_insecure: bool = False  # plain HTTP without a password, and nobody's name is ours to point anywhere

    def text(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode()

    @staticmethod
    def read(text: str) -> Invitation:
        """Raises CannotStart."""
        try:
            return Invitation(**json.loads(base64.urlsafe_b64decode(text.strip())))
        except (ValueError, TypeError, binascii.Error) as error:
            raise CannotStart("This is no token of `skypanel cluster token`: copy all of it.") from error


def invitation(settings: Settings) -> Invitation:
    """On a manager. Raises CannotStart."""
    engine = EngineClient(settings.docker_socket)
    swarm = Swarm(engine)
    if not swarm.state().get("ControlAvailable"):
        raise CannotStart("This machine is no manager of a cluster: run this where `cluster init` was run.")
    tokens = engine.get("/swarm")["JoinTokens"]
    server = engine.get("/services/skypanel-server")["Spec"]["TaskTemplate"]["ContainerSpec"]
    keys = settings.data_dir / "keys"
    return Invitation(
        managers=swarm.managers(),
        worker_token=tokens["Worker"],
        manager_token=tokens["Manager"],
        registry=settings.registry,
        registry_user=settings.registry_user,
        registry_password=(keys / "registry.key").read_text().strip(),
        registry_ca=(keys / trust.CA).read_text(),
        edge_token=(keys / EDGE).read_text().strip(),
        platform_image=server["Image"],
        stack_image=f"{settings.registry}/{settings.stack_image}",
        env=edge_node.told(settings),
        registry_insecure=settings.registry_insecure,
    )


@dataclass(frozen=True)
class Role:
    manager: bool = False  # votes, and runs copies of server and worker
    ingress: bool = False  # takes visitors' requests
    advertise: str | None = None
    edge_dir: Path = Path("/var/lib/skypanel-edge")


def join(settings: Settings, invited: Invitation, role: Role, say: Say, place: Place) -> None:
    """Idempotent. Raises CannotStart."""
    images = _registry(invited)
    swarm = Swarm(place.engine, registry_auth=lambda: images.engine_auth(invited.registry))
    state = swarm.state()
    if not invited.registry_insecure:
        place.trust(invited.registry, invited.registry_ca, invited.managers)
    if state["LocalNodeState"] in ("inactive", ""):
        address = role.advertise or place.address()
        token = invited.manager_token if role.manager else invited.worker_token
        body = {"AdvertiseAddr": address, "ListenAddr": f"{address}:2377", "JoinToken": token,
                "RemoteAddrs": [f"{manager}:2377" for manager in invited.managers]}  # fmt: skip
        place.engine.post("/swarm/join", body, timeout_s=120)
        say(f"Swarm: joined as {'a manager' if role.manager else 'a worker'} ({address})")
    state = _await_active(swarm)
    if state.get("ControlAvailable") and role.manager:
        if not place.has(settings.data_dir / "instance.json"):
            raise CannotStart(
                f"{settings.data_dir} is not the cluster's: managers share it (NFS, say); mount it and run this again."
            )
        swarm.label(str(state["NodeID"]), {stack.DATA_LABEL: "yes"})
        say("Server and worker may run here")
    for image in (invited.platform_image, invited.stack_image):  # now, and not when the first application waits for it
        swarm.ensure_image(image)
    if role.ingress:
        _take_visitors(settings, invited, role, say, place)
    images.close()
    say("The machine is part of the cluster.")


def _registry(invited: Invitation) -> Registry:
    if invited.registry_insecure:
        return Registry(f"http://{invited.registry}")
    return Registry(
        f"https://{invited.registry}", user=invited.registry_user, password=Secret(invited.registry_password)
    )


def _take_visitors(settings: Settings, invited: Invitation, role: Role, say: Say, place: Place) -> None:
    name = str(place.engine.get("/info")["Name"])
    wanted = edge_node.ingress(
        settings, image=invited.platform_image, directory=role.edge_dir, told=invited.env, name=name
    )
    place.keep_key(role.edge_dir, invited.edge_token)
    changed = edge_node.ensure_edge(place.engine, wanted)
    say(f"Ingress: {'started' if changed else 'as it was'}, ports {settings.http_port} and {settings.https_port}")


def _await_active(swarm: Swarm) -> stack.Json:
    deadline = time.monotonic() + READY_S
    while True:
        state = swarm.state()
        if state["LocalNodeState"] == "active":
            return state
        if time.monotonic() > deadline:
            raise CannotStart(f"The swarm does not take this machine in: {state.get('Error') or state}.")
        time.sleep(0.3)
