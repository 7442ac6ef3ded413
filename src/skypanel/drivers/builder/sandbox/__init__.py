"""Builds in a container of the platform's own runtime."""

from skypanel.drivers.builder.sandbox.builder import SandboxBuilder, passed_through
from skypanel.drivers.builder.sandbox.caches import CacheSettings
from skypanel.drivers.builder.sandbox.toolchains import MachineToolchains

__all__ = ["CacheSettings", "MachineToolchains", "SandboxBuilder", "passed_through"]
