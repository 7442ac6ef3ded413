"""The engine's services, tasks, secrets and networks as this driver speaks of them."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.drivers.runtime.swarm import names
from skypanel.drivers.runtime.swarm.claims import Claim, read_claims, write_claim
from skypanel.drivers.runtime.swarm.tasks import Task, read_task, reason

Json = dict[str, Any]
TRIES = 20


@dataclass(frozen=True)
class Service:
    id: str
    version: int
    spec: Json

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def claims(self) -> dict[str, Claim]:
        return read_claims(self.labels)

    @property
    def replicas(self) -> int:
        return int(self.spec["Mode"]["Replicated"]["Replicas"])


@dataclass(frozen=True)
class Change:
    """Of a service: claims set (None: forgotten), and another number of replicas."""

    claims: Mapping[str, Claim | None]
    replicas: int | None = None


class SwarmApi:
    """`registry_auth`: the value of X-Registry-Auth with which machines pull images, or ""."""

    def __init__(self, engine: EngineClient, instance: str, *, registry_auth: Callable[[], str] = lambda: "") -> None:
        self.engine = engine
        self.instance = instance
        self._auth = registry_auth
        self._lock = threading.Lock()
        self._networks: dict[str, str] = {}

    # --- services

    def services(self) -> list[Service]:
        found = self.engine.get("/services", filters={"label": [f"{names.INSTANCE}={self.instance}"]})
        return [_service(each) for each in found if names.KIND in (each["Spec"].get("Labels") or {})]

    def service(self, name: str) -> Service | None:
        try:
            return _service(self.engine.get(f"/services/{name}"))
        except EngineFailed as error:
            if error.missing:
                return None
            raise

    def service_of(self, container_id: str) -> Service | None:
        """The service in which this replica holds a claim."""
        found = self.engine.get("/services", filters={"label": [f"{names.CLAIM}{container_id}"]})
        mine = [_service(each) for each in found if each["Spec"]["Labels"].get(names.INSTANCE) == self.instance]
        return mine[0] if mine else None

    def create(self, spec: Json) -> bool:
        """False when there is one of that name."""
        try:
            self.engine.post("/services/create", spec, headers=self._headers())
        except EngineFailed as error:
            if error.status == 409 or "already exists" in str(error) or "name conflicts" in str(error):
                return False
            raise RuntimeFailed(reason(str(error)) or str(error)) from error
        return True

    def change(self, service: Service, decide: Callable[[Service], Change | None]) -> Service | None:
        """Applies what `decide` wants of the service as it is then, again when somebody else was faster. None when it
        is gone or nothing is wanted."""
        current: Service | None = service
        for _ in range(TRIES):
            if current is None or (wanted := decide(current)) is None:
                return None
            spec = _changed(current.spec, wanted)
            try:
                # Rates of the registry's password may have changed: an update sends it again.
                self.engine.post(
                    f"/services/{current.id}/update", spec, headers=self._headers(), version=str(current.version)
                )
                return Service(current.id, current.version + 1, spec)
            except EngineFailed as error:
                if error.missing:
                    return None
                if "out of sequence" not in str(error):
                    raise
            time.sleep(0.005)
            current = self.service(current.id)
        raise RuntimeFailed(f"the service {service.name} is changed by too many at once")

    def remove(self, service: Service) -> None:
        try:
            self.engine.delete(f"/services/{service.id}")
        except EngineFailed as error:
            if not error.missing:
                raise
        self.forget_secret(names.secret_name(service.name))

    def _headers(self) -> dict[str, str]:
        auth = self._auth()
        return {"X-Registry-Auth": auth} if auth else {}

    # --- tasks

    def tasks(self, service: str | None = None) -> list[Task]:
        """Of one service (name or id) or of all of this platform."""
        filters = {"service": [service]} if service else {"label": [f"{names.INSTANCE}={self.instance}"]}
        try:
            return [read_task(each) for each in self.engine.get("/tasks", filters=filters)]
        except EngineFailed as error:
            if error.missing:
                return []
            raise

    def task(self, task_id: str) -> Task | None:
        try:
            return read_task(self.engine.get(f"/tasks/{task_id}")) if task_id else None
        except EngineFailed as error:
            if error.missing:
                return None
            raise

    # --- secrets

    def secret(self, name: str, content: bytes) -> str:
        """Makes it and returns its id; one of that name that is left over is replaced."""
        body = {
            "Name": name, "Labels": {names.INSTANCE: self.instance}, "Data": base64.b64encode(content).decode(),
        }  # fmt: skip
        for _ in range(TRIES):
            try:
                return str(self.engine.post("/secrets/create", body)["ID"])
            except EngineFailed as error:
                if error.status != 409:
                    raise RuntimeFailed(f"its variables could not be stored: {error}") from error
            self.forget_secret(name)
        raise RuntimeFailed(f"the secret {name} is in use by something else")

    def forget_secret(self, name: str) -> None:
        """One that a task still uses stays; `leftover_secrets` finds it later."""
        try:
            self.engine.delete(f"/secrets/{name}")
        except EngineFailed as error:
            if error.status not in (400, 404):
                raise

    def leftover_secrets(self, services: Sequence[Service]) -> list[str]:
        wanted = {names.secret_name(service.name) for service in services}
        found = self.engine.get("/secrets", filters={"label": [f"{names.INSTANCE}={self.instance}"]})
        mine = [each["Spec"]["Name"] for each in found]
        return [name for name in mine if name.endswith("-env") and name not in wanted]

    # --- networks

    def network(self, organization_id: str) -> str:
        """Id of the organization's network, made where missing. Raises RuntimeFailed when no address pool is left."""
        name = names.network_name(self.instance, organization_id)
        with self._lock:
            if (known := self._networks.get(name)) is not None:
                return known
            found = self._find_network(name) or self._make_network(name, organization_id)
            self._networks[name] = found
            return found

    def forget_networks(self) -> None:
        """What is known of them is looked up anew."""
        with self._lock:
            self._networks.clear()

    def _find_network(self, name: str) -> str | None:
        found = self.engine.get("/networks", filters={"name": [name]})
        return next((str(each["Id"]) for each in found if each["Name"] == name), None)

    def _make_network(self, name: str, organization_id: str) -> str:
        body = {
            "Name": name, "Driver": "overlay", "Attachable": True, "CheckDuplicate": True,
            "Labels": {names.INSTANCE: self.instance, names.ORGANIZATION: organization_id},
        }  # fmt: skip
        try:
            return str(self.engine.post("/networks/create", body)["Id"])
        except EngineFailed as error:
            if (found := self._find_network(name)) is not None:  # somebody else has just made it
                return found
            raise RuntimeFailed(reason(str(error)) or str(error)) from error

    def nodes(self) -> dict[str, str]:
        """Id -> host name."""
        return {each["ID"]: each["Description"]["Hostname"] for each in self.engine.get("/nodes")}

    def lost(self, node: str) -> bool:
        """Whether the swarm has lost this machine: what ran there is over as far as anybody can say."""
        try:
            return bool(self.engine.get(f"/nodes/{node}")["Status"]["State"] == "down")
        except EngineFailed as error:
            if error.missing:
                return True
            raise

    def own_node(self) -> str:
        return str(self.engine.get("/info")["Swarm"]["NodeID"])


def _service(found: Mapping[str, Any]) -> Service:
    return Service(found["ID"], int(found["Version"]["Index"]), found["Spec"])


def _changed(spec: Json, wanted: Change) -> Json:
    labels = dict(spec.get("Labels") or {})
    for container_id, claim in wanted.claims.items():
        if claim is None:
            labels.pop(names.CLAIM + container_id, None)
        else:
            labels[names.CLAIM + container_id] = write_claim(claim)
    changed = {**spec, "Labels": labels}
    if wanted.replicas is not None:
        changed["Mode"] = {"Replicated": {"Replicas": wanted.replicas}}
    return changed
