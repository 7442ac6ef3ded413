"""A small client of the registry's API (OCI distribution specification 1.1): blobs and manifests by digest.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from skypanel.kit.secret import Secret

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ACCEPTED = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"
CHUNK = 1 << 20


class RegistryFailed(OSError):
    """The registry could not be reached or refused; the message says which and why."""


class BlobsMissing(RegistryFailed):
    """A manifest names blobs that are not there, or not any more: `sweep` took them."""


class Registry:
    """`url`: http(s)://host:port as this process reaches it."""

    def __init__(self, url: str, *, user: str = "", password: Secret | None = None, ca: Path | None = None) -> None:
        self.url = url.rstrip("/")
        self._auth = httpx.BasicAuth(user, password.reveal()) if user and password is not None else None
        self._user, self._password = user, password
        self._http = httpx.Client(
            base_url=self.url, auth=self._auth, timeout=httpx.Timeout(30, connect=3), trust_env=False,
            verify=str(ca) if ca is not None else True,
        )  # fmt: skip

    def engine_auth(self, address: str) -> str:
        """The value of X-Registry-Auth with which engines pull from here; `address` as images name it."""
        if self._password is None:
            return ""
        content = {"username": self._user, "password": self._password.reveal(), "serveraddress": address}
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()

    def ping(self) -> None:
        """Raises RegistryFailed."""
        self._call("GET", "/v2/")

    def has_blob(self, repository: str, digest: str) -> bool:
        return self._call("HEAD", f"/v2/{repository}/blobs/{digest}", allow=404).status_code == 200

    def blob(self, repository: str, digest: str) -> bytes:
        return self._call("GET", f"/v2/{repository}/blobs/{digest}", follow_redirects=True).content

    def mount(self, repository: str, digest: str, *, source: str) -> None:
        """Makes a blob of another repository one of this, without a copy where the registry can."""
        answer = self._call("POST", f"/v2/{repository}/blobs/uploads/", params={"mount": digest, "from": source})
        if answer.status_code != 201:
            self._finish(answer, digest, self.blob(source, digest))

    def put_bytes(self, repository: str, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if not self.has_blob(repository, digest):
            self._finish(self._call("POST", f"/v2/{repository}/blobs/uploads/"), digest, content)
        return digest

    def put_file(self, repository: str, digest: str, path: Path) -> None:
        if self.has_blob(repository, digest):
            return

        def chunks() -> Iterator[bytes]:
            with path.open("rb") as file:
                while data := file.read(CHUNK):
                    yield data

        started = self._call("POST", f"/v2/{repository}/blobs/uploads/")
        self._finish(started, digest, chunks(), length=path.stat().st_size)

    def _finish(
        self, started: httpx.Response, digest: str, content: bytes | Iterator[bytes], *, length: int | None = None
    ) -> None:
        location = httpx.URL(self.url).join(started.headers["Location"])
        headers = {"Content-Type": "application/octet-stream"}
        if length is not None:
            headers["Content-Length"] = str(length)
        url = location.copy_merge_params({"digest": digest})
        self._call("PUT", str(url), content=content, headers=headers, timeout=httpx.Timeout(600, connect=3))

    def manifest(self, repository: str, reference: str) -> tuple[str, dict[str, Any]] | None:
        """(digest, content) by tag or digest; None when there is none."""
        answer = self._call("GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": ACCEPTED}, allow=404)
        if answer.status_code == 404:
            return None
        return answer.headers["Docker-Content-Digest"], answer.json()

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        answer = self._call("HEAD", f"/v2/{repository}/manifests/{reference}", headers={"Accept": ACCEPTED}, allow=404)
        return None if answer.status_code == 404 else answer.headers["Docker-Content-Digest"]

    def put_manifest(self, repository: str, tag: str, content: dict[str, Any]) -> str:
        """Its digest. Raises BlobsMissing."""
        body = json.dumps(content, sort_keys=True).encode()
        self._call("PUT", f"/v2/{repository}/manifests/{tag}", content=body, headers={"Content-Type": MANIFEST})
        return f"sha256:{hashlib.sha256(body).hexdigest()}"

    def tags(self, repository: str) -> list[str]:
        answer = self._call("GET", f"/v2/{repository}/tags/list", allow=404)
        return [] if answer.status_code == 404 else list(answer.json().get("tags") or ())

    def delete_manifest(self, repository: str, digest: str) -> None:
        self._call("DELETE", f"/v2/{repository}/manifests/{digest}", allow=404)

    def close(self) -> None:
        self._http.close()

    def _call(self, method: str, path: str, *, allow: int = 0, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise RegistryFailed(f"The image registry at {self.url} does not answer ({error}).") from error
        if answer.status_code >= 400 and answer.status_code != allow:
            failed = BlobsMissing if "MANIFEST_BLOB_UNKNOWN" in answer.text else RegistryFailed
            raise failed(
                f"The image registry at {self.url} refused {method} {path.partition('?')[0]}: {answer.status_code} "
                f"{answer.text[:200]}"
            )
        return answer
