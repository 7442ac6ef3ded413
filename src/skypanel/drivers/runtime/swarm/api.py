"""The engine's services, tasks, secrets and networks as this driver speaks of them."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.port import RuntimeFailed
from skypanel.drivers.runtime.swarm import names
from skypanel.drivers.runtime.swarm.claims import Claim, read_claims, write_claim
from skypanel.drivers.runtime.swarm.tasks import Task, moment, read_task, reason

Json = dict[str, Any]
Claims = Mapping[str, Claim | None]
TRIES = 20
YOUNG_S = 60.0  # a secret is made a moment before its service


@dataclass(frozen=True)
class Holder:
    """The secret of a service, whose labels hold the claims: they may change without Swarm looking at the service. (An
    update of a service, be it of its labels, makes Swarm forget those of its tasks that are on their way out.)"""

    id: str
    version: int
    spec: Json


@dataclass(frozen=True)
class Service:
    id: str
    version: int
    spec: Json
    holder: Holder | None

    @property
    def name(self) -> str:
        return str(self.spec["Name"])

    @property
    def labels(self) -> Mapping[str, str]:
        return self.spec.get("Labels") or {}

    @property
    def claims(self) -> dict[str, Claim]:
        return read_claims(self.holder.spec["Labels"]) if self.holder is not None else {}

    @property
    def replicas(self) -> int:
        return int(self.spec["Mode"]["Replicated"]["Replicas"])


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
        ours = {"label": [f"{names.INSTANCE}={self.instance}"]}
        found = [s for s in self.engine.get("/services", filters=ours) if names.KIND in (s["Spec"].get("Labels") or {})]
        holders = {each["Spec"]["Name"]: _holder(each) for each in self.engine.get("/secrets", filters=ours)}
        return [_service(each, holders.get(names.secret_name(each["Spec"]["Name"]))) for each in found]

    def service(self, name: str) -> Service | None:
        """By name or id."""
        found = self._found(f"/services/{name}")
        if found is None:
            return None
        secret = self._found(f"/secrets/{names.secret_name(found['Spec']['Name'])}")
        return _service(found, _holder(secret) if secret is not None else None)

    def _found(self, path: str) -> Json | None:
        try:
            return dict(self.engine.get(path))
        except EngineFailed as error:
            if error.missing:
                return None
            raise

    def service_of(self, container_id: str) -> Service | None:
        """The service in which this replica holds a claim."""
        for each in self.engine.get("/secrets", filters={"label": [f"{names.CLAIM}{container_id}"]}):
            if each["Spec"]["Labels"].get(names.INSTANCE) == self.instance:
                found = self._found(f"/services/{names.service_name_of(each['Spec']['Name'])}")
                if found is not None:
                    return _service(found, _holder(each))
        return None

    def create(self, spec: Json) -> bool:
        """False when there is one of that name."""
        try:
            self.engine.post("/services/create", spec, headers=self._headers())
        except EngineFailed as error:
            if error.status == 409 or "already exists" in str(error) or "name conflicts" in str(error):
                return False
            raise RuntimeFailed(reason(str(error)) or str(error)) from error
        return True

    def change(self, service: Service, decide: Callable[[Service], Claims]) -> Service | None:
        """Writes the claims that `decide` wants as it is then (None: forgotten), again when somebody else was faster.
        None when it is gone or nothing is wanted."""
        current: Service | None = service
        for _ in range(TRIES):
            if current is None or current.holder is None or not (wanted := decide(current)):
                return None
            held = current.holder
            spec = {**held.spec, "Labels": _changed(held.spec["Labels"], wanted)}
            if self._updated(f"/secrets/{held.id}", spec, held.version):
                return replace(current, holder=Holder(held.id, held.version + 1, spec))
            time.sleep(0.005)
            current = self.service(current.id)
        raise RuntimeFailed(f"the service {service.name} is changed by too many at once")

    def scale(self, service: Service, decide: Callable[[Service], int | None]) -> Service | None:
        """Sets the number of tasks that `decide` wants (None: as it is). An update with the same number makes Swarm
        look again at what is missing. None when the service is gone or nothing is wanted."""
        current: Service | None = service
        for _ in range(TRIES):
            if current is None or (wanted := decide(current)) is None:
                return None
            spec = {**current.spec, "Mode": {"Replicated": {"Replicas": wanted}}}
            if self._updated(f"/services/{current.id}", spec, current.version):
                return replace(current, version=current.version + 1, spec=spec)
            time.sleep(0.005)
            current = self.service(current.id)
        raise RuntimeFailed(f"the service {service.name} is changed by too many at once")

    def _updated(self, path: str, spec: Json, version: int) -> bool:
        """False when it is gone or of another version by now."""
        try:
            # The registry's password may have changed: an update sends it again.
            self.engine.post(f"{path}/update", spec, headers=self._headers(), version=str(version))
        except EngineFailed as error:
            if error.missing or "out of sequence" in str(error):
                return False
            raise
        return True

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
        now = datetime.now(UTC)
        mine = [each["Spec"]["Name"] for each in found
                if (now - moment(each["CreatedAt"])).total_seconds() > YOUNG_S]  # fmt: skip
        return [name for name in mine if name.endswith(names.SECRET) and name not in wanted]

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


def _service(found: Mapping[str, Any], holder: Holder | None) -> Service:
    return Service(found["ID"], int(found["Version"]["Index"]), found["Spec"], holder)


def _holder(found: Mapping[str, Any]) -> Holder:
    return Holder(found["ID"], int(found["Version"]["Index"]), {"Labels": {}, **found["Spec"]})


def _changed(labels: Mapping[str, str], wanted: Claims) -> dict[str, str]:
    changed = dict(labels)
    for container_id, claim in wanted.items():
        if claim is None:
            changed.pop(names.CLAIM + container_id, None)
        else:
            changed[names.CLAIM + container_id] = write_claim(claim)
    return changed
