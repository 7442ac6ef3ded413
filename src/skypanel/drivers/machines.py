"""Machines that containers can run on, and the verbs that a cluster has for them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from skypanel.kit.secret import Secret

MIB = 1 << 20


class MachinesFailed(Exception):
    """The cluster did not do it; the message says why."""


@dataclass(frozen=True)
class Machine:
    name: str
    address: str
    manager: bool
    ready: bool  # its engine was heard of a few seconds ago
    cpu_millis: int
    memory_mb: int


@dataclass(frozen=True)
class Newcomer:
    """A machine that is to join, and how SSH gets there. `host_key` None: whatever it shows the first time."""

    host: str
    port: int
    user: str
    private_key: Secret
    host_key: str | None
    manager: bool
    ingress: bool

    def opened(self) -> dict[str, object]:
        """With the key as it is: to be encrypted, or handed to a program on its standard input."""
        return {**vars(self), "private_key": self.private_key.reveal()}


class Machines(Protocol):
    @property
    def beat_s(self) -> float:
        """How often they are worth a look when nothing has been heard."""
        ...

    def list(self) -> Sequence[Machine]: ...

    def add(self, newcomer: Newcomer) -> None:
        """Lets it join. Raises MachinesFailed with what it said."""
        ...

    def close_to_new(self, name: str) -> None:
        """Nothing new is placed there; what runs there goes on."""
        ...

    def empty(self, name: str) -> None:
        """What the cluster itself runs there goes elsewhere."""
        ...

    def open(self, name: str) -> None:
        """Takes part again."""
        ...

    def forget(self, name: str) -> None:
        """It is no part of the cluster any more. Unknown names are no error."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Until one of them may have changed, or the time is over."""
        ...


class OneMachine:
    """Of an installation without a cluster: this one, which can only be looked at."""

    beat_s = 300.0

    def list(self) -> Sequence[Machine]:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
        cores = len(os.sched_getaffinity(0))
        return (Machine(socket.gethostname(), "127.0.0.1", True, True, cores * 1000, memory),)

    def close_to_new(self, name: str) -> None:
        raise MachinesFailed(f"{name} is the only machine; there is nowhere to move its applications to.")

    empty = open = forget = close_to_new

    def add(self, newcomer: Newcomer) -> None:
        raise MachinesFailed(f"{newcomer.host} can only join a cluster; `skypanel cluster adopt` makes this one.")

    def wait(self, timeout_s: float) -> None:
        time.sleep(timeout_s)
