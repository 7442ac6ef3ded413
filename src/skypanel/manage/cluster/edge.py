"""`python3 -m skypanel.manage.cluster.edge DIRECTORY`: what runs on an ingress node. `--ready`: does it serve?"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from skypanel.drivers import probe, shell
from skypanel.manage.cluster.edge_node import OWNER
from skypanel.settings import Settings

UID = 64_000  # Debian keeps 60000-64999 for fixed use


def main(arguments: list[str]) -> None:
    settings = Settings()
    if arguments == ["--ready"]:
        answer = probe.ask_http("127.0.0.1", settings.http_port, "/healthz", host="localhost", timeout_s=2)
        sys.exit(0 if answer.status is not None else 1)
    from skypanel.wiring.cluster import edge

    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each question is too much
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    os.umask(0o022)
    keep_inside(settings.swarm_address_pool)
    edge(settings, directory=Path(arguments[0]), container=OWNER, uid=UID).run()


def keep_inside(pool: str) -> None:
    """A replica that is gone must not be looked for outside of the cluster, by the default route. By rules and not by a
    route: the engine refuses to join a network that a route covers."""
    for number, action in ((100, ["lookup", "main", "suppress_prefixlength", "0"]), (101, ["unreachable"])):
        shell.run(["ip", "rule", "add", "to", pool, "pref", str(number), *action], check=False)


if __name__ == "__main__":
    main(sys.argv[1:])
