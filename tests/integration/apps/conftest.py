from __future__ import annotations

from apps_world import World, build_world, either_world, world

__all__ = ["World", "build_world", "either_world", "world"]
