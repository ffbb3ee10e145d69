"""The registry of `stakewatch check`: checks register themselves, one runner calls them all."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle


@dataclass(frozen=True)
class Finding:
    """What a check found wrong: where, what, and what to do."""

    path: Path
    line: int
    message: str
    mend: str
    column: int = 0


@dataclass(frozen=True)
class Check:
    """A named check; `name` is `<room>/<what>`, `describes` one sentence for `stakewatch check --list`."""

    name: str
    describes: str
    run: Callable[[Bundle, Configuration], Iterable[Finding]]


_REGISTRY: dict[str, Check] = {}


def check(
    name: str, describes: str
) -> Callable[
    [Callable[[Bundle, Configuration], Iterable[Finding]]],
    Callable[[Bundle, Configuration], Iterable[Finding]],
]:
    """Register the decorated function as the check `name`.

    A room's checks stand in its module `checks.py`, which `stakewatch check` imports.
    Raises ValueError when the name is taken.
    """

    def register(
        run: Callable[[Bundle, Configuration], Iterable[Finding]],
    ) -> Callable[[Bundle, Configuration], Iterable[Finding]]:
        if name in _REGISTRY:
            raise ValueError(f"two checks are named {name}")
        _REGISTRY[name] = Check(name=name, describes=describes, run=run)
        return run

    return register


def registered() -> tuple[Check, ...]:
    """All checks by name."""
    return tuple(_REGISTRY[name] for name in sorted(_REGISTRY))
