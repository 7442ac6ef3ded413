"""What has to be said of a machine that is to join: the API's body, and the rules of the dashboard's form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from skypanel.drivers.machines import Newcomer
from skypanel.http.schema import RequestBody
from skypanel.kit.secret import Secret


class NewNodeRequest(RequestBody):
    """A machine with the Docker Engine that SSH reaches from the managers."""

    host: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,118}[A-Za-z0-9])?$", examples=["192.0.2.21"])
    port: int = Field(default=22, ge=1, le=65535)
    user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="root, or one with sudo")
    private_key: str = Field(
        min_length=1, max_length=20_000, description="OpenSSH format, without a passphrase; forgotten after use"
    )
    host_key: str | None = Field(
        default=None, max_length=2_000, pattern=r"^[a-z0-9@.-]+ [A-Za-z0-9+/=]+$",
        description="As `ssh-keyscan` shows it without the name; left out: what the machine shows the first time",
        examples=["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"],
    )  # fmt: skip
    role: Literal["worker", "manager"] = "worker"
    ingress: bool = Field(default=False, description="It takes visitors' requests")

    @field_validator("private_key")
    @classmethod
    def _with_plain_line_ends(cls, key: str) -> str:
        """OpenSSH reads no key with the line ends of Windows, which is also how browsers send a form."""
        return "\n".join(key.splitlines())

    def newcomer(self) -> Newcomer:
        return Newcomer(
            host=self.host, port=self.port, user=self.user, private_key=Secret(self.private_key),
            host_key=self.host_key, manager=self.role == "manager", ingress=self.ingress,
        )  # fmt: skip
