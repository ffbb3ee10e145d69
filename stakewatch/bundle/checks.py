"""The registry of `stakewatch check`: checks register themselves, one runner calls them all."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.bundle.rooms import import_from_rooms
from stakewatch.errors import InputError, StakewatchError


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


@dataclass(frozen=True)
class Outcome:
    """What one check came to; `error` is why it could not be carried out."""

    check: Check
    findings: tuple[Finding, ...]
    error: StakewatchError | None
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the check was carried out and found nothing."""
        return not self.findings and self.error is None


def checks(names: Sequence[str] = ()) -> tuple[Check, ...]:
    """Return the checks `names` in the order of their names; a room's name stands for all its checks.

    Without names: all. Raises InputError when a name stands for nothing.
    """
    import_from_rooms("checks")
    known = registered()
    chosen: set[str] = set()
    for name in names:
        meant = {one.name for one in known if name in (one.name, one.name.partition("/")[0])}
        if not meant:
            raise InputError(
                f"there is no check {quoted(name)}",
                mend=did_you_mean(name, [one.name for one in known], "there are"),
            )
        chosen |= meant
    return tuple(one for one in known if not names or one.name in chosen)


def run_checks(
    bundle: Bundle,
    configuration: Configuration,
    names: Sequence[str] = (),
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Outcome, ...]:
    """Run the checks `names` (all when empty); `report` hears each name before it starts.

    A check that cannot be carried out does not keep the others from running.
    Raises InputError for an unknown name.
    """
    return tuple(_outcome(one, bundle, configuration, report) for one in checks(names))


def _outcome(
    one: Check, bundle: Bundle, configuration: Configuration, report: Callable[[str], None]
) -> Outcome:
    report(one.name)
    started = time.monotonic()
    findings: tuple[Finding, ...] = ()
    error: StakewatchError | None = None
    try:
        findings = tuple(
            sorted(one.run(bundle, configuration), key=lambda found: (found.path, found.line, found.column))
        )
    except StakewatchError as raised:
        error = raised
    except OSError as raised:
        error = StakewatchError(
            f"cannot be read or written: {raised.strerror or raised}",
            where=str(raised.filename or bundle.root),
            mend="check what stands there and its permissions",
        )
    return Outcome(check=one, findings=findings, error=error, seconds=time.monotonic() - started)
