"""What people and programs may ask for. Each request changes the desired state and enqueues its job in the caller's
transaction; the worker does the rest under the key of the app, one at a time and in order."""

from skypanel.deployments.ask_operation import (
    request_delete,
    request_restart,
    request_run,
    request_scale,
    request_stop,
)
from skypanel.deployments.ask_release import (
    request_cancel,
    request_deploy,
    request_env_deployment,
    request_rollback,
)

__all__ = [
    "request_cancel",
    "request_delete",
    "request_deploy",
    "request_env_deployment",
    "request_restart",
    "request_rollback",
    "request_run",
    "request_scale",
    "request_stop",
]
