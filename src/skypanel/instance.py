"""What one platform on one machine is: its id, its unprivileged user, its network, its inner ports.

Made once, at the first `skypanel up`, and kept as `instance.json` in the data directory; every process reads it there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

FILE: Final = "instance.json"


@dataclass(frozen=True)
class Instance:
    id: str  # eight hex digits: prefix of everything that is made on the machine (bridges, cgroups, namespaces)
    uid: int | None  # server and router run as this user; None: everything runs as whoever started the platform
    gid: int | None
    network: str  # "10.210.16.0/20": the containers' own; "" with the process runtime
    server_port: int  # the server's, on 127.0.0.1


def read_instance(data_dir: Path) -> Instance | None:
    """None when the platform was never started there. Raises ValueError for a file that is none of ours."""
    try:
        content = (data_dir / FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Instance(**orjson.loads(content))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise ValueError(f"{data_dir / FILE} cannot be read ({error}): restore it from a backup") from error


def instance_bytes(instance: Instance) -> bytes:
    return orjson.dumps(asdict(instance), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
