"""Slugs as images in a registry: what a cluster's machines start replicas from."""

from skypanel.drivers.builder.images.publishing import PublishingBuilder
from skypanel.drivers.builder.images.registry import Registry, RegistryFailed

__all__ = ["PublishingBuilder", "Registry", "RegistryFailed"]
