"""Slugs as images in a registry: what a cluster's machines start replicas from."""

from skypanel.drivers.builder.images.publishing import PublishingBuilder
from skypanel.drivers.builder.images.registry import Registry, RegistryFailed
from skypanel.drivers.builder.images.sweep import Freed, Sweep

__all__ = ["Freed", "PublishingBuilder", "Registry", "RegistryFailed", "Sweep"]
