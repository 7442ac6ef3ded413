"""The machines of a swarm, as a manager's engine knows them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from skypanel.drivers import shell
from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.machines import MIB, Machine, MachinesFailed, Newcomer

Json = dict[str, Any]
DEMOTED_S = 30.0
JOIN_S = 600.0
AGAIN_S = 2.0


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except EngineFailed as error:
        raise MachinesFailed(f"Docker: {error}") from error


class SwarmMachines:
    """`join`: a program that lets a machine join, asked by JSON on its standard input."""

    beat_s = 10.0

    def __init__(self, engine: EngineClient, *, join: Sequence[str] = ()) -> None:
        self._engine, self._join = engine, join

    def list(self) -> Sequence[Machine]:
        with _told():
            return sorted((_machine(each) for each in self._nodes().values()), key=lambda machine: machine.name)

    def add(self, newcomer: Newcomer) -> None:
        asked = json.dumps(newcomer.opened()).encode()
        try:
            shell.run(self._join, stdin=asked, env=dict(os.environ), timeout_s=JOIN_S)
        except shell.CommandFailed as error:
            lines = [line for line in error.output.splitlines() if line.strip()]
            raise MachinesFailed(lines[-1].strip() if lines else str(error)) from error

    def close_to_new(self, name: str) -> None:
        self._set(name, Availability="pause")

    def empty(self, name: str) -> None:
        self._set(name, Availability="drain")

    def open(self, name: str) -> None:
        self._set(name, Availability="active")

    def forget(self, name: str) -> None:
        with _told():
            found = self._nodes().get(name)
            if found is None:
                return
            if found["Spec"]["Role"] == "manager":
                self._set(name, Role="worker")
                deadline = time.monotonic() + DEMOTED_S
                while "ManagerStatus" in self._engine.get(f"/nodes/{found['ID']}"):
                    if time.monotonic() > deadline:
                        raise MachinesFailed(f"{name} is still a manager after {DEMOTED_S:.0f} s; try again.")
                    time.sleep(0.2)
            self._engine.delete(f"/nodes/{found['ID']}", force="1")

    def wait(self, timeout_s: float) -> None:
        until = str(int(time.time() + timeout_s) + 1)
        try:
            events = self._engine.lines("/events", {"filters": json.dumps({"type": ["node"]}), "until": until})
            next(events, None)
        except EngineFailed:
            time.sleep(min(AGAIN_S, timeout_s))

    def _set(self, name: str, **changes: str) -> None:
        with _told():
            found = self._nodes().get(name)
            if found is None:
                raise MachinesFailed(f"{name} is no machine of the cluster.")
            spec = {**found["Spec"], **changes}
            self._engine.post(f"/nodes/{found['ID']}/update", spec, version=str(found["Version"]["Index"]))

    def _nodes(self) -> dict[str, Json]:
        """By host name; of several with the same, that of an earlier life of the machine among them, the one that is
        there."""
        found: list[Json] = self._engine.get("/nodes")
        found.sort(key=lambda each: (each["Status"]["State"] == "ready", each["UpdatedAt"]))
        return {each["Description"]["Hostname"]: each for each in found if "Hostname" in each["Description"]}


def _machine(found: Json) -> Machine:
    resources = found["Description"]["Resources"]
    status = found.get("ManagerStatus") or {}
    return Machine(
        name=found["Description"]["Hostname"],
        address=status.get("Addr", found["Status"].get("Addr", "")).partition(":")[0],
        manager=found["Spec"]["Role"] == "manager",
        ready=found["Status"]["State"] == "ready" and status.get("Reachability", "reachable") == "reachable",
        cpu_millis=resources["NanoCPUs"] // 1_000_000,
        memory_mb=resources["MemoryBytes"] // MIB,
    )
