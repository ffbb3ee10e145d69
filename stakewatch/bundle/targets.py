"""The registry of `stakewatch build`: targets register themselves, one builder calls them all."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle

Render = Callable[[Bundle, Configuration, Path], None]


@dataclass(frozen=True)
class Target:
    """A named product of the bundle; `render` writes it below `build/<name>/`."""

    name: str
    describes: str
    render: Render


_REGISTRY: dict[str, Target] = {}
_NAME = re.compile(r"[a-z][a-z0-9-]*")


def target(name: str, describes: str) -> Callable[[Render], Render]:
    """Register the decorated function as what writes `build/<name>/`.

    A room's targets stand in its module `targets.py`, which `stakewatch build` imports.
    The function gets an empty folder, which replaces the old one only when it returns.
    Raises ValueError when the name is taken or cannot name a folder of its own in `build/`.
    """

    def register(render: Render) -> Render:
        if not _NAME.fullmatch(name) or name == "reports":
            raise ValueError(f"{name!r} cannot name a build target")
        if name in _REGISTRY:
            raise ValueError(f"two build targets are named {name}")
        _REGISTRY[name] = Target(name=name, describes=describes, render=render)
        return render

    return register


def registered() -> tuple[Target, ...]:
    """All targets by name."""
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))
