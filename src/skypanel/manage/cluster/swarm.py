"""The engine's swarm as operators' commands see it: made, joined, its services brought to what is wanted."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from skypanel.drivers.engine.client import EngineClient, EngineFailed
from skypanel.drivers.runtime.swarm.tasks import Task, read_task, reason
from skypanel.manage.cluster.stack import CONTENT, PART, File, Json, Part, spec
from skypanel.manage.preflight import CannotStart

LOOK_S = 0.2
SUBNET_S = 30.0  # until a new network has addresses
HEARTBEAT_S = 2


class Swarm:
    def __init__(self, engine: EngineClient, *, registry_auth: Callable[[], str] = lambda: "") -> None:
        self.engine = engine
        self._auth = registry_auth

    # --- machines

    def state(self) -> Json:
        """`/info`'s part on the swarm. Raises CannotStart when there is no engine, or one that is too old."""
        try:
            return dict(self.engine.get("/info")["Swarm"])
        except EngineFailed as error:
            raise CannotStart(
                f"A cluster needs the Docker Engine: {error}. On Debian and Ubuntu: apt-get install docker.io"
            ) from error

    def make(self, *, address: str, pool: str, bits: int) -> None:
        body = {
            "AdvertiseAddr": address, "ListenAddr": f"{address}:2377", "DefaultAddrPool": [pool], "SubnetSize": bits,
            # A lost machine is noticed after some three of these; the engine's own choice is five seconds.
            "Spec": {"Dispatcher": {"HeartbeatPeriod": HEARTBEAT_S * 1_000_000_000}},
        }  # fmt: skip
        self.engine.post("/swarm/init", body, timeout_s=90)

    def label(self, node: str, labels: Mapping[str, str]) -> None:
        found = self.engine.get(f"/nodes/{node}")
        wanted = {**(found["Spec"].get("Labels") or {}), **labels}
        if wanted != found["Spec"].get("Labels"):
            version = str(found["Version"]["Index"])
            self.engine.post(f"/nodes/{node}/update", {**found["Spec"], "Labels": wanted}, version=version)

    def managers(self) -> list[str]:
        """Their addresses."""
        return [
            each["ManagerStatus"]["Addr"].rpartition(":")[0] for each in self.engine.get("/nodes")
            if each["Spec"]["Role"] == "manager" and "ManagerStatus" in each
        ]  # fmt: skip

    # --- networks

    def network(self, name: str) -> Json:
        """Made where missing: an overlay that containers may join."""
        if not any(each["Name"] == name for each in self.engine.get("/networks", filters={"name": [name]})):
            self.engine.post("/networks/create", {"Name": name, "Driver": "overlay", "Attachable": True,
                                                  "CheckDuplicate": True, "Labels": {PART: "network"}})  # fmt: skip
        deadline = time.monotonic() + SUBNET_S
        while True:
            found = dict(self.engine.get(f"/networks/{name}"))
            if found["IPAM"]["Config"]:
                return found
            if time.monotonic() > deadline:
                raise CannotStart(f"The swarm finds no addresses for its network {name}; its managers' logs say why.")
            time.sleep(LOOK_S)

    # --- services

    def bring(self, part: Part) -> bool:
        """The service as the part wants it. True when something had to change: what is the same is not touched."""
        wanted = spec(part, secrets={})
        found = self._service(part.service)
        if found is not None and (found["Spec"].get("Labels") or {}).get(CONTENT) == wanted["Labels"][CONTENT]:
            return False
        secrets = {file.called(part.name): self._secret(part.name, file) for file in part.files}
        wanted = {**spec(part, secrets=secrets), "Labels": wanted["Labels"]}
        auth = self._auth()
        headers = {"X-Registry-Auth": auth} if auth else {}
        if found is None:
            self.engine.post("/services/create", wanted, headers=headers)
        else:
            version = str(found["Version"]["Index"])
            self.engine.post(f"/services/{found['ID']}/update", wanted, headers=headers, version=version)
        return True

    def exists(self, service: str) -> bool:
        return self._service(service) is not None

    def remove(self, service: str) -> None:
        try:
            self.engine.delete(f"/services/{service}")
        except EngineFailed as error:
            if not error.missing:
                raise

    def await_running(self, part: Part, *, within_s: float = 120) -> None:
        """Until as many tasks as wanted run (and are healthy). Raises CannotStart with the reason."""
        deadline = time.monotonic() + within_s
        while True:
            tasks = self.tasks(part.service)
            service = self._service(part.service) or {}
            wanted = self._wanted(part, tasks)
            image = service.get("Spec", {}).get("TaskTemplate", {}).get("ContainerSpec", {}).get("Image", "")
            fresh = [t for t, i in tasks if t.state == "running" and t.wanted == "running" and i == image]
            state = (service.get("UpdateStatus") or {}).get("State", "completed")
            if wanted and len(fresh) >= wanted and state in ("completed", "rollback_completed"):
                if state == "rollback_completed":
                    raise CannotStart(f"{part.service} could not be updated and is as it was: {self._why(tasks)}.")
                return
            if time.monotonic() > deadline:
                raise CannotStart(f"{part.service} is not healthy after {within_s:.0f} s: {self._why(tasks)}.")
            time.sleep(LOOK_S)

    def await_done(self, part: Part, *, within_s: float = 180) -> None:
        """Until the one task of a part that runs `once` has ended well. Raises CannotStart with its last lines."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            over = [task for task, _ in self.tasks(part.service) if task.over]
            if over and over[0].exit_code == 0:
                return
            if over:
                why = reason(over[0].error) or self.last_lines(over[0].id) or f"it exited with {over[0].exit_code}"
                raise CannotStart(f"{part.service} failed: {why}")
            time.sleep(LOOK_S)
        raise CannotStart(f"{part.service} did not end within {within_s:.0f} s: {self._why(self.tasks(part.service))}.")

    def tasks(self, service: str) -> Sequence[tuple[Task, str]]:
        """Each with the image it was made from, the newest first."""
        try:
            found = self.engine.get("/tasks", filters={"service": [service]})
        except EngineFailed as error:
            if error.missing:
                return []
            raise
        tasks = [(read_task(each), str(each["Spec"]["ContainerSpec"]["Image"])) for each in found]
        return sorted(tasks, key=lambda each: each[0].created_at, reverse=True)

    def last_lines(self, task: str) -> str:
        try:
            frames = self.engine.output(
                f"/tasks/{task}/logs", {"stdout": "1", "stderr": "1", "tail": "5"}, read_timeout_s=5
            )
            return b"".join(frame for _, frame in frames).decode(errors="replace").strip()
        except EngineFailed:
            return ""

    def _wanted(self, part: Part, tasks: Sequence[tuple[Task, str]]) -> int:
        if part.copies is not None:
            return part.copies
        return len({task.node for task, _ in tasks if task.wanted == "running" and task.node}) or 0

    def _why(self, tasks: Sequence[tuple[Task, str]]) -> str:
        for task, _ in tasks:
            if task.error:
                return reason(task.error) or self.last_lines(task.id) or task.error
        return f"its tasks are {', '.join(task.state for task, _ in tasks) or 'not made yet'}"

    def _service(self, name: str) -> Json | None:
        try:
            return dict(self.engine.get(f"/services/{name}"))
        except EngineFailed as error:
            if error.missing:
                return None
            raise

    def _secret(self, part: str, file: File) -> str:
        name = file.called(part)
        found: list[Any] = self.engine.get("/secrets", filters={"name": [name]})
        for each in found:
            if each["Spec"]["Name"] == name:
                return str(each["ID"])
        body = {"Name": name, "Labels": {PART: part}, "Data": base64.b64encode(file.content).decode()}
        return str(self.engine.post("/secrets/create", body)["ID"])

    # --- images

    def ensure_image(self, image: str, *, remedy: str = "") -> None:
        """On this machine. Raises CannotStart, with the remedy."""
        if not self._has_image(image):
            try:
                self._pull(image)
            except CannotStart as error:
                raise CannotStart(f"{error} {remedy}".rstrip()) from error

    def _has_image(self, image: str) -> bool:
        try:
            self.engine.get(f"/images/{image}/json")
        except EngineFailed as error:
            if error.missing:
                return False
            raise
        return True

    def _pull(self, image: str) -> None:
        named = "@" in image or ":" in image.rpartition("/")[2]
        wanted = image if named else f"{image}:latest"  # without any the engine would pull all of its tags
        try:
            # The answer is a stream of JSON objects; an error is in it, not in the status.
            text = self.engine.upload("/images/create", iter(()), fromImage=wanted, auth=self._auth()).decode()
        except EngineFailed as error:
            raise CannotStart(f"The image {image} cannot be had: {error}.") from error
        raise_for_errors(text, f"The image {image} cannot be had")

    def push(self, image: str, to: str) -> None:
        """The local image under another name, pushed there. Raises CannotStart."""
        repository, _, tag = to.rpartition(":")
        self.engine.post(f"/images/{image}/tag", repo=repository, tag=tag)
        text = self.engine.upload(f"/images/{repository}/push", iter(()), tag=tag, auth=self._auth() or "e30=").decode()
        raise_for_errors(text, f"The image {image} cannot be pushed to the registry")


def raise_for_errors(stream: str, what: str) -> None:
    for line in stream.splitlines():
        try:
            error = json.loads(line).get("error")
        except (ValueError, AttributeError):
            continue
        if error:
            raise CannotStart(f"{what}: {error}.")
