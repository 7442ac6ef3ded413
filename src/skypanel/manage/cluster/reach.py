"""`python3 -m skypanel.manage.cluster.reach`: lets a machine join that SSH reaches. Asked by the worker, on a manager.

Standard input: JSON `{"host", "port", "user", "private_key", "host_key", "manager", "ingress"}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from skypanel.drivers.engine.client import EngineFailed
from skypanel.manage.cluster.join import Role, invitation, join
from skypanel.manage.cluster.place import Login, remote
from skypanel.manage.preflight import CannotStart
from skypanel.settings import Settings


def main() -> None:
    asked: dict[str, Any] = json.load(sys.stdin)
    settings = Settings()
    role = Role(manager=asked.pop("manager"), ingress=asked.pop("ingress"))
    login = Login(**asked)
    try:
        invited = invitation(settings)
        known = settings.data_dir / "cluster" / "known_hosts"
        with remote(login, socket=settings.docker_socket, known_hosts=known) as place:
            join(settings, invited, role, print, place)
    except (CannotStart, EngineFailed, OSError) as error:
        raise SystemExit(" ".join(str(error).split())) from error


if __name__ == "__main__":
    main()
