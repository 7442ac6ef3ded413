"""The access logs of a cluster's ingress nodes on their way into the logs of the apps.

Each app's stream keeps with its lines how far into the log of a node they go, as `access/<node>`; the stream
`router:access` keeps how far all of them go, and that a generation begins before any line of it is asked for. So a
worker that was killed reads a little again and stores nothing twice.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from skypanel.drivers.edge_access import Piece, Place
from skypanel.drivers.logstore.port import LogStore
from skypanel.logs.access import CHECKPOINTS, Batch, by_stream
from skypanel.logs.tailed_file import whole_lines

log = logging.getLogger(__name__)
CHECKPOINT_BYTES = 65_536
GATHER_S = 0.2  # a busy node's lines are taken at most this often,
MUCH = 262_144  # unless there are so many bytes of them
AGAIN_S = 2.0
_NAME = re.compile(r"[!-~]{1,120}")


class Node(NamedTuple):
    name: str
    address: str
    port: int


class Reads(Protocol):
    """`drivers.edge_access.EdgeAccess`."""

    def read(self, address: str, port: int, place: Place | None) -> Piece | None: ...


class IngressLog:
    """Of one node. `read` asks it. Raises OSError where node or store do; it must not be used again after that, but
    made anew."""

    def __init__(
        self, store: LogStore, name: str, read: Callable[[Place | None], Piece | None], *,
        parse: Callable[[bytes], Any], render: Callable[[Any], str], leads: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._store, self._name, self._read = store, name, read
        self._parse, self._render, self._leads = parse, render, leads
        self._origin = f"access/{name}"
        self._place = self._kept = self._known(CHECKPOINTS)

    def step(self) -> int:
        """Moves some lines on, waiting for them; how many bytes of them there were."""
        piece = self._read(self._place)
        if not self._leads():  # another worker has begun from what is stored now
            return 0
        if piece is None:
            self._keep()
            return 0
        if piece.start != self._place:
            if piece.missed:
                log.warning("lines of the router of %s are missing: it had no room to keep them", self._name)
            self._place = piece.start
            self._keep()
            return 0
        lines = whole_lines(piece.lines, piece.start.offset)
        for stream, batch in by_stream(lines, self._parse, self._render).items():
            self._append(stream, batch, piece.start.generation)
        self._place = piece.next
        if self._kept is None or self._place.offset - self._kept.offset > CHECKPOINT_BYTES:
            self._keep()
        return len(piece.lines)

    def _append(self, stream: str, batch: Batch, generation: str) -> None:
        known = self._known(stream)
        before = known.offset if known is not None and known.generation == generation else 0
        fresh = [entry for end, entry in batch if end > before]
        if fresh:
            mark = Place(generation, batch[-1][0])
            self._store.append_marked(stream, fresh, origin=self._origin, mark=str(mark))

    def _known(self, stream: str) -> Place | None:
        mark = self._store.marks(stream).get(self._origin)
        return None if mark is None else Place.parse(mark)

    def _keep(self) -> None:
        if self._place is not None and self._place != self._kept:
            self._store.append_marked(CHECKPOINTS, [], origin=self._origin, mark=str(self._place))
            self._kept = self._place


class IngressLogs:
    """Of all nodes that live, a thread each: one that does not answer keeps nobody waiting."""

    def __init__(
        self, store: LogStore, reads: Reads, *, nodes: Callable[[], Sequence[Node]],
        parse: Callable[[bytes], Any], render: Callable[[Any], str], leads: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._store, self._reads, self._nodes = store, reads, nodes
        self._parse, self._render, self._leads = parse, render, leads
        self._stopping = threading.Event()
        self._followed: dict[str, _Followed] = {}

    def look(self) -> None:
        """Begins with nodes that have come, ends with those that have gone. Raises what `nodes` does."""
        live = {node.name: node for node in self._nodes() if _NAME.fullmatch(node.name)}
        for name, followed in list(self._followed.items()):
            if live.get(name) != followed.node:
                followed.over.set()
            if not followed.thread.is_alive():
                del self._followed[name]
        for name in live.keys() - self._followed.keys():  # never a second thread for a node whose first one still ends
            if not self._stopping.is_set():
                self._followed[name] = self._follow(live[name])

    def stop(self) -> None:
        self._stopping.set()
        for followed in list(self._followed.values()):
            followed.over.set()

    def _follow(self, node: Node) -> _Followed:
        over = threading.Event()
        thread = threading.Thread(target=self._run, args=(node, over), name=f"access-{node.name}", daemon=True)
        thread.start()
        return _Followed(node, thread, over)

    def _run(self, node: Node, over: threading.Event) -> None:
        failing = False
        found: IngressLog | None = None
        while not over.is_set() and self._leads():
            try:
                if found is None:
                    found = self._of(node)
                moved = found.step()
            except (OSError, ValueError) as error:
                if not failing:
                    log.warning("the log of the router of %s: %s; trying again", node.name, error)
                failing, found = True, None
                over.wait(AGAIN_S)
                continue
            failing = False
            if 0 < moved < MUCH:
                over.wait(GATHER_S)

    def _of(self, node: Node) -> IngressLog:
        return IngressLog(
            self._store, node.name, lambda place: self._reads.read(node.address, node.port, place),
            parse=self._parse, render=self._render, leads=self._leads,
        )  # fmt: skip


class _Followed(NamedTuple):
    node: Node
    thread: threading.Thread
    over: threading.Event
