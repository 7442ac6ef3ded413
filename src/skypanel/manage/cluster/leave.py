"""A machine leaves the cluster: its swarm membership, its ingress and its firewall."""

from __future__ import annotations

from collections.abc import Callable

from skypanel.drivers import shell
from skypanel.drivers.engine.client import EngineClient
from skypanel.manage.cluster import edge_node, firewall
from skypanel.manage.cluster.swarm import Swarm
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings


def leave(settings: Settings, say: Callable[[str], None], *, force: bool) -> None:
    """Idempotent. Raises CannotStart when the machine is a manager, whose going the others have to agree to first
    (`skypanel nodes remove`), unless `force`."""
    with EngineClient(settings.docker_socket) as engine:
        _leave_swarm(engine, say, force=force)
        edge_node.remove_edge(engine)
    say("Ingress: none any more")
    shell.run(["nft", "delete", "table", "inet", firewall.TABLE], check=False)
    say("This machine is on its own.")


def _leave_swarm(engine: EngineClient, say: Callable[[str], None], *, force: bool) -> None:
    state = Swarm(engine).state()
    if state["LocalNodeState"] not in ("inactive", ""):
        if state.get("ControlAvailable") and not force:
            raise CannotStart(
                "This machine is a manager. On another one: skypanel nodes drain, then skypanel nodes remove; with "
                "--force it leaves at once, and the others notice."
            )
        engine.post("/swarm/leave", force="1", timeout_s=60)
        say("Swarm: left")
