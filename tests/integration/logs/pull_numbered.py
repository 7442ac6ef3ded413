"""Pulls an ingress node's access log until it is killed: `python pull_numbered.py <port> <logs> <token>`."""

from __future__ import annotations

import sys
from pathlib import Path

from skypanel.drivers.edge_access import EdgeAccess
from skypanel.drivers.logstore.embedded import EmbeddedLogStore
from skypanel.drivers.router import accesslog
from skypanel.kit.secret import Secret
from skypanel.logs.ingress import IngressLogs, Node

found = IngressLogs(
    EmbeddedLogStore(Path(sys.argv[2]), segment_bytes=50_000), EdgeAccess(Secret(sys.argv[3])),
    nodes=lambda: [Node("m1", "127.0.0.1", int(sys.argv[1]))],
    parse=accesslog.parse, render=accesslog.render, leads=lambda: True,
)  # fmt: skip
found.look()
input()
