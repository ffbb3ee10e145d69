"""How long it takes from a fatal line in a log file to the alert at Alertmanager."""

import time
from collections.abc import Sequence
from contextlib import ExitStack

from stakewatch.programs.servers import Alertmanager
from tests.bench.logs.shipping import rfc3339, wait_for
from tests.bench.logs.stack import REPOSITORY, Stack

_LINE = "Nov 21 11:38:08.211 CRIT Failed to start beacon node           reason: the database is locked"
_LONGEST_SECONDS = 180.0


def alert_delays(stack: Stack, pauses: Sequence[float]) -> tuple[float, ...]:
    """Return the seconds that each of several fatal lines took, written with these pauses before them.

    The pauses should be odd: what is measured depends on where in their rounds ruler and Prometheus are.
    Rules, ruler and Prometheus have the intervals of production. An alert that does not come in three minutes
    takes for ever.
    """
    labels = {"cluster": "eks-1", "region": "eu-west-1", "network": "mainnet"}
    labels |= {"role": "beacon", "implementation": "lighthouse"}
    names = [f"lighthouse-{number}" for number in range(len(pauses))]
    files = [stack.log_file(name, {**labels, "instance": name}, runtime="cri") for name in names]
    with ExitStack() as running:
        _, alertmanager = running.enter_context(stack.alerting([REPOSITORY / "rules" / "logs.yaml"]))
        running.enter_context(stack.loki())
        running.enter_context(stack.promtail())
        written: dict[str, float] = {}
        came: dict[str, float] = {}
        for name, file, pause in zip(names, files, pauses, strict=True):
            _watch(alertmanager, came, len(names), pause)
            with file.open("a", encoding="utf-8") as log:
                log.write(f"{rfc3339(time.time_ns())} stderr F {_LINE}\n")
            written[name] = time.monotonic()
        _watch(alertmanager, came, len(names), _LONGEST_SECONDS)
    return tuple(came.get(name, float("inf")) - written[name] for name in names)


def _watch(alertmanager: Alertmanager, came: dict[str, float], most: int, seconds: float) -> None:
    """Note when each instance's alert comes, until all have or the time is up."""

    def look() -> bool:
        for alert in alertmanager.alerts():
            if alert.name == "ClientFatalLogs":
                came.setdefault(alert.labels["instance"], time.monotonic())
        return len(came) >= most

    wait_for(look, bool, seconds)
