"""The worker's threads: jobs, exits of containers, liveness, reconciliation, log collection."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Protocol

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from skypanel.deployments.monitor import Monitor
from skypanel.deployments.platform import Platform
from skypanel.deployments.reconcile import exited, reconcile
from skypanel.drivers.builder.port import BuildFailed
from skypanel.drivers.machines import MachinesFailed
from skypanel.drivers.router.port import RouterFailed
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.jobs import Engine
from skypanel.nodes.watch import NodeWatch

log = logging.getLogger(__name__)
INGRESS_S = 2.0
GONE_GRACE_S = 1.0  # when what we work with is gone: jobs under way could hardly end well
PASSING = (RuntimeFailed, MachinesFailed, RouterFailed, BuildFailed, DBAPIError, PoolExhausted, OSError)


class Collects(Protocol):
    def run(self) -> None: ...

    def stop(self) -> None: ...


class Follows(Protocol):
    """`logs.ingress.IngressLogs`."""

    def look(self) -> None: ...

    def stop(self) -> None: ...


class Leads(Protocol):
    def run(self) -> None: ...

    def wait(self, timeout_s: float) -> bool: ...

    def held(self) -> bool: ...

    def stop(self) -> None: ...


@dataclass
class Worker:
    platform: Platform
    engine: Engine
    monitor: Monitor
    collector: Collects
    reconcile_interval_s: float
    nodes: NodeWatch
    leadership: Leads | None = None  # among several copies; None: this is the only one
    lifeline: Callable[[], None] | None = None  # returns when what every copy works with here is gone
    ingress: Follows | None = None  # the routers' logs, where they are on other machines

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._broken: str | None = None

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Replicas go on without us. Raises SystemExit when one of the threads has ended by
        itself: half a worker would go unnoticed, a dead one is started again."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        self.platform.runtime.prepare()
        alone = {
            "collector": self.collector.run,
            "exits": self._watch_exits,
            "monitor": self.monitor.run,
            "nodes": self._watch_nodes,
            "reconcile": self._reconcile,
        }
        if self.ingress is not None:
            alone["ingress"] = self._watch_ingress
        threads = [self._thread(name, loop) for name, loop in alone.items()]
        if self.lifeline is not None:
            self._thread("lifeline", self.lifeline, grace_s=GONE_GRACE_S).start()
        if self.leadership is None:
            for thread in threads:
                thread.start()
        else:
            threading.Thread(target=self.leadership.run, name="lease", daemon=True).start()
            threading.Thread(target=self._lead, args=(self.leadership, threads), name="leader", daemon=True).start()
        self.engine.run()
        self._stopping.set()
        self.monitor.stop()
        self.collector.stop()
        if self.ingress is not None:
            self.ingress.stop()
        if self.leadership is not None:
            self.leadership.stop()
        if self._broken is not None:  # at once: others wait for what the threads hold, and some may hang
            raise SystemExit(f"the worker's thread {self._broken!r} has ended; see the log")
        for thread in threads:
            if thread.ident is not None and thread.name != "nodes":  # it waits for the engine, and holds nothing
                thread.join(timeout=5)

    def _lead(self, leadership: Leads, threads: Sequence[threading.Thread]) -> None:
        """What only one of several workers does begins when this one leads, and the whole worker ends, to be started
        again, when it no longer does: no loop has to know."""
        while not self._stopping.is_set():
            if leadership.wait(1.0):
                break
        else:
            return
        log.info("this worker leads now")
        for thread in threads:
            thread.start()
        while not self._stopping.wait(0.5):
            if not leadership.held():
                self._broken = "leader"
                self.engine.stop(grace_s=5)
                return

    def _thread(self, name: str, loop: Callable[[], None], *, grace_s: float = 5.0) -> threading.Thread:
        return threading.Thread(target=self._keep, args=(name, loop, grace_s), name=name, daemon=True)

    def _keep(self, name: str, loop: Callable[[], None], grace_s: float) -> None:
        try:
            loop()
        except Exception:
            log.exception("the thread %s broke", name)
        if not self._stopping.is_set():
            self._broken = name
            self.engine.stop(grace_s=grace_s)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        self.engine.stop(grace_s=5)

    def _watch_exits(self) -> None:
        def look() -> None:
            ended = self.platform.runtime.wait_for_exits(5.0)
            if ended:
                exited(self.platform, ended)

        self._forever(look, pause_s=0)

    def _watch_nodes(self) -> None:
        def look() -> None:
            self.nodes.look()
            self.nodes.wait()

        self._forever(look, pause_s=0.2)

    def _watch_ingress(self) -> None:
        assert self.ingress is not None
        self._forever(self.ingress.look, pause_s=INGRESS_S)

    def _reconcile(self) -> None:
        def look() -> None:
            findings = reconcile(self.platform)
            if findings.mended or findings.removed:
                log.info("reconciled: %d apps to mend, %d leftovers removed", findings.mended, findings.removed)

        self._forever(look, pause_s=self.reconcile_interval_s)

    def _forever(self, look: Callable[[], None], *, pause_s: float) -> None:
        """A database or a runtime that is away for a while must not end the thread."""
        while not self._stopping.is_set():
            try:
                look()
            except PASSING as error:
                log.warning("%s: %s; trying again", threading.current_thread().name, error)
                self._stopping.wait(2.0)
            if pause_s:
                self._stopping.wait(pause_s)
