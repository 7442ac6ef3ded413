"""Why a deployment, or an operation on an app, did not work.

DeployFailed     the deployment fails for good: code and one sentence a developer can act on
SkyPanelError
└── Conflict     raised by the requests, see each
"""

from __future__ import annotations


class DeployFailed(Exception):
    """`evidence`: the lines that show it, for the deployment's log."""

    def __init__(self, code: str, reason: str, evidence: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.evidence = evidence
