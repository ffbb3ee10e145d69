"""Log lines as the demo's processes would write them, for a Loki beside the demo, which ships none itself."""

from collections.abc import Iterator

from stakewatch.programs.log_servers import Line
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan

_SECOND = 10**9
_SECONDS_BETWEEN_ERRORS = 30


def lines_of(plan: FleetPlan, start: float, seconds: int) -> tuple[Line, ...]:
    """Return the lines of a fleet from `start` (Unix seconds) on, a few of them about errors and keys."""
    return tuple(_lines(plan, int(start) * _SECOND, seconds))


def _lines(plan: FleetPlan, start: int, seconds: int) -> Iterator[Line]:
    place = {"cluster": plan.cluster, "region": plan.region}
    for number, process in enumerate(plan.processes):
        role, said = _habits(process)
        labels = {
            **place,
            "network": plan.network,
            "role": role,
            "implementation": process.implementation,
            "instance": process.instance,
        }
        for second in range(seconds):
            moment = start + second * _SECOND
            slot = {"slot": str(second)}
            yield Line({**labels, "level": "info"}, moment, f"{said} slot={second}", slot)
            if role == "beacon" and second % _SECONDS_BETWEEN_ERRORS == number:
                text = "Relay did not answer in time, the block is built here"
                yield Line(
                    {**labels, "level": "error"}, moment, text, {"error_class": "relay_failed", **slot}
                )
    audit = {**place, "implementation": "kubernetes-audit", "level": "info"}
    person = {"resource": "secrets", "verb": "get", "user": "somebody"}
    yield Line(audit, start + seconds // 2 * _SECOND, "somebody read the secret staking/keystores", person)


def _habits(process: object) -> tuple[str, str]:
    """Return the role of a process and what it says in each slot."""
    match process:
        case BeaconNode():
            return "beacon", "New block received and imported"
        case ExecutionNode():
            return "execution", "Chain head was updated"
        case _:
            return "validator", "Attestations were published"
