"""`skypanel cluster init`: every part of the platform brought to what is wanted, and looked at before it says done.

Idempotent: what is as it should be is not touched. Each service is also written to `<data_dir>/cluster/`, for an
operator to read.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from skypanel import __version__
from skypanel.drivers import probe
from skypanel.drivers.engine.client import EngineClient
from skypanel.drivers.runtime.swarm.names import PLATFORM_NETWORK
from skypanel.instance import Instance, read_instance
from skypanel.kit.secret import Secret
from skypanel.manage.cluster import edge_node, stack, trust
from skypanel.manage.cluster.given import refuse_missing, remember
from skypanel.manage.cluster.stack import Choices, File, Part
from skypanel.manage.cluster.swarm import Swarm
from skypanel.manage.keys import EDGE, ensure_keys, ensure_token, write_protected
from skypanel.manage.layout import ensure_layout
from skypanel.manage.preflight import CannotStart
from skypanel.manage.prepare import new_instance, write_instance
from skypanel.settings import Settings
from skypanel.wiring.cluster import registry

Say = Callable[[str], None]
READY_S = 90.0
NO_IMAGE = "`skypanel cluster images` makes it here, of Debian's and PyPI's packages."
# What the server and worker of a cluster are told besides: everything that the operator's environment says.
NOT_PASSED = frozenset({
    "data_dir", "runtime", "host", "http_port", "https_port", "database_url", "docker_socket", "node_name",
    "git_https_token", "git_https_token_file", "git_ssh_key_file", "trusted_proxies", "network_pool",
    "mail_url", "mail_url_file",
    "stripe_secret_key", "stripe_secret_key_file", "stripe_webhook_secret", "stripe_webhook_secret_file",
})  # fmt: skip


@dataclass(frozen=True)
class Options:
    advertise: str | None = None
    copies: int = 2
    ingress: bool = True
    edge_dir: Path = Path("/var/lib/skypanel-edge")
    forget: tuple[str, ...] = ()  # settings that were given once and shall have their default again


@dataclass(frozen=True)
class Ground:
    """What everything else stands on: swarm, registry, images."""

    engine: EngineClient
    swarm: Swarm
    choices: Choices
    node: str  # id of this machine in the swarm


def init(settings: Settings, options: Options, say: Say) -> None:
    """Raises CannotStart with what to do."""
    if (file := settings.data_dir / "db" / "skypanel.db").exists():
        raise CannotStart(
            f"{file} is the database of a platform on one machine: `skypanel cluster adopt` takes it into a cluster."
        )
    ground = prepare_ground(settings, options, say)
    ensure_database(ground, settings, say)
    raise_platform(ground, settings, options, say)


def prepare_ground(settings: Settings, options: Options, say: Say) -> Ground:
    """Idempotent; takes nothing away from a one-machine installation that runs from the same directory."""
    refuse_missing(settings, forget=options.forget)
    engine = EngineClient(settings.docker_socket, timeout_s=60)
    swarm = Swarm(engine)
    address, node = _ensure_swarm(swarm, settings, options, say)
    instance = _prepare(settings, say)
    swarm.label(node, {stack.DATA_LABEL: "yes"})
    subnet = swarm.network(PLATFORM_NETWORK)["IPAM"]["Config"][0]["Subnet"]
    choices = choices_of(settings, instance, options, subnet=subnet)
    swarm = _ensure_registry(swarm, settings, choices, address, say)
    choices = _publish_images(swarm, settings, choices, say)
    if choices.registry_image is not None:  # again, from its own: where other machines find its image
        _bring(swarm, _registry_part(settings, choices), choices, say)
        _eventually(registry(settings).ping, within_s=30)
    remember(settings)
    return Ground(engine, swarm, choices, node)


def raise_platform(ground: Ground, settings: Settings, options: Options, say: Say) -> None:
    """Agent, server, worker and ingress, each healthy before the next. Closes the engine's connection."""
    swarm, choices = ground.swarm, ground.choices
    authority = (settings.data_dir / "keys" / trust.CA).read_bytes()
    for part in (stack.agent_part(choices, authority), stack.server_part(choices), stack.worker_part(choices)):
        _bring(swarm, part, choices, say)
    if options.ingress:
        _ensure_ingress(ground.engine, settings, options, choices, say)
        _await_ready(settings, say)
    say("The cluster is ready. On further machines: skypanel cluster join, with what `skypanel cluster token` prints.")
    ground.engine.close()


def _ensure_swarm(swarm: Swarm, settings: Settings, options: Options, say: Say) -> tuple[str, str]:
    """This machine's address in the swarm, and its node id."""
    state = swarm.state()
    if state["LocalNodeState"] in ("inactive", ""):
        address = options.advertise or own_address()
        swarm.make(address=address, pool=settings.swarm_address_pool, bits=settings.swarm_network_bits)
        say(f"Swarm: made, this machine is its first manager ({address})")
        state = swarm.state()
    if not state.get("ControlAvailable"):
        raise CannotStart(
            "This machine is a worker of a swarm, or its managers have lost their majority: run this on a manager."
        )
    return str(state["NodeAddr"]), str(state["NodeID"])


def own_address() -> str:
    """The one this machine reaches others from."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe_:
        probe_.connect(("198.51.100.1", 9))  # nothing is sent
        return str(probe_.getsockname()[0])


def _prepare(settings: Settings, say: Say) -> Instance:
    found = read_instance(settings.data_dir)
    instance = found or new_instance()
    ensure_layout(settings.data_dir, uid=instance.uid, gid=instance.gid)
    write_instance(settings.data_dir, instance)
    keys = settings.data_dir / "keys"
    ensure_keys(keys, gid=instance.gid)
    ensure_token(keys, EDGE, gid=instance.gid)
    password = ensure_token(keys, "registry.key", gid=None)
    name = settings.registry.partition(":")[0]
    trust.ensure_registry_keys(keys, host=name, user=settings.registry_user, password=password)
    for directory in ("registry", "images", "cluster"):
        (settings.data_dir / directory).mkdir(mode=0o700, exist_ok=True)
    if found is None:
        say(f"Data: {settings.data_dir}, with keys of its own (back them up)")
    return instance


def choices_of(settings: Settings, instance: Instance, options: Options, *, subnet: str) -> Choices:
    passed: dict[str, str] = {}
    for name in settings.model_fields_set - NOT_PASSED:
        value = getattr(settings, name)
        if value is not None:
            passed[f"SKYPANEL_{name.upper()}"] = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
    passed |= {
        "SKYPANEL_TRUSTED_PROXIES": subnet, "SKYPANEL_DOCKER_SOCKET": str(settings.docker_socket),
        "SKYPANEL_HTTP_PORT": str(settings.http_port), "SKYPANEL_HTTPS_PORT": str(settings.https_port),
    }  # fmt: skip
    return Choices(
        data_dir=settings.data_dir, docker_socket=settings.docker_socket, platform_image=settings.platform_image,
        postgres_image=None if settings.database_url else settings.postgres_image,
        registry_image=None if settings.registry_insecure else settings.registry_image,
        settings=passed, copies=options.copies, server_uid=instance.uid or 64_009, worker_files=_worker_files(settings),
        payment_files=_payment_files(settings),
    )  # fmt: skip


def _worker_files(settings: Settings) -> list[File]:
    """As secrets of the swarm: neither the data directory nor an environment has them."""
    found = []
    if settings.token is not None:
        found.append(File("git_https_token_file", settings.token.reveal().encode()))
    if settings.git_ssh_key_file is not None:
        found.append(File("git_ssh_key_file", settings.git_ssh_key_file.read_bytes()))
    if settings.mail is not None:
        found.append(File("mail_url_file", settings.mail.reveal().encode()))
    return found


def _payment_files(settings: Settings) -> list[File]:
    found = {"stripe_secret_key_file": settings.stripe_key, "stripe_webhook_secret_file": settings.stripe_webhook}
    return [File(name, secret.reveal().encode()) for name, secret in found.items() if secret is not None]


def _ensure_registry(swarm: Swarm, settings: Settings, choices: Choices, address: str, say: Say) -> Swarm:
    """Returns a swarm that sends the registry's password along."""
    if choices.registry_image is not None:
        keys = settings.data_dir / "keys"
        trust.trust_registry(settings.registry, (keys / trust.CA).read_text(), [address])
        swarm.ensure_image(choices.registry_image, remedy=NO_IMAGE)
        if not swarm.exists("skypanel-registry"):
            _bring(swarm, _registry_part(settings, choices), choices, say)
    images = registry(settings)
    _eventually(images.ping, within_s=30)
    return Swarm(swarm.engine, registry_auth=lambda: images.engine_auth(settings.registry))


def _registry_part(settings: Settings, choices: Choices) -> Part:
    keys = settings.data_dir / "keys"
    files = [
        File("registry.crt", (keys / trust.CERTIFICATE).read_bytes()),
        File("registry.key", (keys / trust.KEY).read_bytes()),
        File("registry.htpasswd", (keys / trust.USERS).read_bytes()),
    ]
    return stack.registry_part(choices, files, name=settings.registry.partition(":")[0])


def _eventually(look: Callable[[], object], *, within_s: float) -> None:
    from skypanel.drivers.builder.images import RegistryFailed

    deadline = time.monotonic() + within_s
    while True:
        try:
            look()
            return
        except RegistryFailed as error:
            if time.monotonic() > deadline:
                raise CannotStart(str(error)) from error
            time.sleep(0.2)


def _publish_images(swarm: Swarm, settings: Settings, choices: Choices, say: Say) -> Choices:
    """The platform's images in its own registry, where every machine finds them, by digest."""
    from dataclasses import replace

    wanted = {"platform": choices.platform_image, "stack": settings.stack_image}
    if choices.postgres_image is not None:
        wanted["postgres"] = choices.postgres_image
    if choices.registry_image is not None:
        wanted["registry"] = choices.registry_image
    found = {}
    images = registry(settings)
    for name, image in wanted.items():
        swarm.ensure_image(image, remedy=NO_IMAGE)
        local = swarm.engine.get(f"/images/{image}/json")["Id"]
        repository, tag = (
            (settings.stack_image.rpartition(":")[0], settings.stack_image.rpartition(":")[2])
            if (name == "stack")
            else (f"skypanel/{name}", local.removeprefix("sha256:")[:40])
        )
        there = images.manifest(repository, tag)
        if there is None or there[1].get("config", {}).get("digest") != local:
            swarm.push(image, f"{settings.registry}/{repository}:{tag}")
            say(f"Images: {image} is in the registry")
            there = images.manifest(repository, tag)
        if there is None:
            raise CannotStart(f"The registry does not keep the image {image}.")
        found[name] = f"{settings.registry}/{repository}@{there[0]}"
    return replace(
        choices, platform_image=found["platform"], postgres_image=found.get("postgres"),
        registry_image=found.get("registry"),
    )  # fmt: skip


def ensure_database(ground: Ground, settings: Settings, say: Say) -> None:
    """There, at the newest revision; where it is stands in keys/database.url."""
    swarm, choices = ground.swarm, ground.choices
    kept = settings.data_dir / "keys" / "database.url"
    instance = read_instance(settings.data_dir)
    gid = instance.gid if instance else None
    if settings.database_url:
        write_protected(kept, settings.database_url.encode() + b"\n", gid=gid)
        say("Database: an external one")
        _run_once(swarm, stack.migrate_part(choices))
        return
    password = ensure_token(settings.data_dir / "keys", "postgres.key", gid=None)
    write_protected(kept, f"postgresql://skypanel:{password}@skypanel-postgres/skypanel\n".encode(), gid=gid)
    swarm.label(ground.node, {stack.DATABASE_LABEL: "yes"})
    _bring(swarm, stack.postgres_part(choices, password.encode()), choices, say)
    _run_once(swarm, stack.migrate_part(choices))
    say("Database: at the newest revision")


def move_database(ground: Ground, file: Path, say: Say) -> None:
    """Of a one-machine installation. Raises CannotStart; nothing is moved then."""
    _run_once(ground.swarm, stack.move_part(ground.choices, file))
    say("Database: moved")


def _run_once(swarm: Swarm, part: Part) -> None:
    swarm.remove(part.service)
    swarm.bring(part)
    swarm.await_done(part)
    swarm.remove(part.service)


def _bring(swarm: Swarm, part: Part, choices: Choices, say: Say) -> None:
    _write(choices.data_dir / "cluster" / f"{part.name}.yml", part)
    changed = swarm.bring(part)
    swarm.await_running(part)
    say(f"{part.service}: {'started' if changed else 'as it was'}, healthy")


def _write(path: Path, part: Part) -> None:
    text = f"# Written by skypanel {__version__} cluster init; changes here have no effect.\n"
    path.write_text(text + yaml.safe_dump(stack.spec(part, secrets={}), sort_keys=False))


def _ensure_ingress(engine: EngineClient, settings: Settings, options: Options, choices: Choices, say: Say) -> None:
    token = Secret((settings.data_dir / "keys" / EDGE).read_text().strip())
    name = str(engine.get("/info")["Name"])
    wanted = edge_node.ingress(
        settings, image=choices.platform_image, directory=options.edge_dir, told=edge_node.told(settings), name=name
    )
    images = registry(settings)
    swarm = Swarm(engine, registry_auth=lambda: images.engine_auth(settings.registry))
    swarm.ensure_image(choices.platform_image)
    edge_node.keep_key(wanted.directory, token.reveal())
    changed = edge_node.ensure_edge(engine, wanted)
    say(f"Ingress: {'started' if changed else 'as it was'}, ports {settings.http_port} and {settings.https_port}")


def _await_ready(settings: Settings, say: Say) -> None:
    deadline = time.monotonic() + READY_S
    while True:
        answer = probe.ask_http("127.0.0.1", settings.http_port, "/readyz", host=settings.dashboard_host, timeout_s=5)
        if answer.status == 200:
            say(f"The dashboard answers on port {settings.http_port}, database, worker and router do their part")
            return
        if time.monotonic() > deadline:
            raise CannotStart(
                f"The platform is not ready after {READY_S:.0f} s: GET /readyz answers {answer.status or answer.error}."
            )
        time.sleep(0.3)
