"""One real platform for the whole folder.

Do: act as a user would, through the API, the router and signals. Don't: import the platform's rooms.
"""

from __future__ import annotations

from one_platform import ada, load_target, mallory, platform, repositories, unique

__all__ = ["ada", "load_target", "mallory", "platform", "repositories", "unique"]
