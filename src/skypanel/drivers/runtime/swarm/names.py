"""Names of what the driver makes in the swarm: always of the platform, the organization and the app, never a slug."""

from __future__ import annotations

import hashlib

from skypanel.drivers.runtime.port import ContainerSpec
from skypanel.kit.ids import short

LONGEST = 59  # a service's name may have 63 characters, and "-env" is added to it for its secret
LABEL = "skypanel"
INSTANCE, APP, ORGANIZATION = f"{LABEL}.instance", f"{LABEL}.app", f"{LABEL}.organization"
KIND, PROCESS, CONTENT, SERVES = (f"{LABEL}.{word}" for word in ("kind", "process", "content", "serves"))
DISK = f"{LABEL}.disk"  # of a container: how much it may write, in MB
CLAIM = f"{LABEL}.replica."
SECRET = "-env"  # noqa: S105 - the end of the names of services' secrets
PLATFORM_NETWORK = "skypanel-platform"  # of server, worker, registry and ingress; no tenant is in it


def service_name(instance: str, spec: ContainerSpec) -> str:
    own = spec.group.name if spec.group is not None else spec.id
    return fitting(f"{instance}-{short(spec.organization_id)}-{own}")


def secret_name(service: str) -> str:
    return f"{service}{SECRET}"


def service_name_of(secret: str) -> str:
    return secret.removesuffix(SECRET)


def network_name(instance: str, organization_id: str) -> str:
    return fitting(f"{instance}-org-{short(organization_id)}")


def fitting(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    return f"{name[: LONGEST - 13]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
