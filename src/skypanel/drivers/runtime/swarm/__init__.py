"""Containers as tasks of Docker Swarm."""

from skypanel.drivers.runtime.swarm.api import SwarmApi
from skypanel.drivers.runtime.swarm.driver import SwarmRuntime

__all__ = ["SwarmApi", "SwarmRuntime"]
