"""Incidents lived through again: a fleet's series, under all rules, and what has to fire and to be silent."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import did_you_mean, quoted
from stakewatch.bundle.reports import Figure, Report, revision
from stakewatch.errors import InputError
from stakewatch.promql import parse, walk
from stakewatch.promql.tree import Call, VectorSelector
from stakewatch.rules.files import Rule, load_rule_files
from stakewatch.rules.replay.incident import Incident, load_incident
from stakewatch.rules.replay.rounds import evaluations
from stakewatch.rules.replay.verdict import Verdict, episodes_of, flaws_of
from stakewatch.rules.routing_checks import Inhibition, load_inhibitions

_SUFFIX = ".yaml"


def find_incidents(names: Sequence[str], folder: Path) -> tuple[Incident, ...]:
    """Return the incidents of these names or paths; without any, all of `folder`.

    Raises InputError when there is none, or one is not right.
    """
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    chosen: list[Path] = []
    for name in names:
        found = [Path(name)] if is_file_name(name) else [path for path in paths if path.stem == name]
        if not found:
            known = [path.stem for path in paths]
            raise InputError(
                f"there is no incident {quoted(name)}", mend=did_you_mean(name, known, "there are")
            )
        chosen += found
    if not names and not paths:
        raise InputError("no incidents here", where=str(folder), mend="name the files")
    return tuple(load_incident(path) for path in chosen or paths)


def is_file_name(name: str) -> bool:
    """Tell whether this names a file, and not an incident of the bundle."""
    return name.endswith(_SUFFIX)


def bundle_inhibitions(bundle: Bundle) -> tuple[Inhibition, ...]:
    """Return the inhibitions of the bundle's Alertmanager configurations."""
    found = (load_inhibitions(path) for path in sorted(bundle.alertmanager.glob("*.yaml")))
    return tuple(one for some in found for one in some or ())


def replay(incident: Incident, rules: Path, inhibitions: Sequence[Inhibition] = ()) -> Verdict:
    """Live through an incident under the rules below `rules`, and judge what fired.

    `inhibitions` are those of Alertmanager: who is held back wakes nobody.

    Raises StakewatchError when a rule cannot be evaluated, InputError when the incident changes series that
    its fleet does not show.
    """
    started = time.monotonic()
    alerts = [rule for rule_file in load_rule_files(rules) for rule in rule_file.alerts]
    heartbeats = {rule.name for rule in alerts if _always_fires(rule)}
    try:
        fired = episodes_of(evaluations(incident.truth, rules), incident.begins, inhibitions)
    except InputError as error:
        raise InputError(error.what, where=str(incident.path), mend=error.mend) from error
    episodes = tuple(one for one in fired if one.alert not in heartbeats)
    known = {rule.name for rule in alerts}
    return Verdict(
        incident=incident,
        episodes=episodes,
        flaws=flaws_of(episodes, incident.expectations, known, incident.pages),
        alerts=len(known),
        seconds=time.monotonic() - started,
    )


def _always_fires(rule: Rule) -> bool:
    """Tell whether a rule is a heartbeat: it reads no series and is there at any time."""
    nodes = list(walk(parse(rule.expression)))
    return any(isinstance(node, Call) and node.function == "vector" for node in nodes) and not any(
        isinstance(node, VectorSelector) for node in nodes
    )


def replay_all(
    incidents: Sequence[Incident],
    rules: Path,
    inhibitions: Sequence[Inhibition] = (),
    report: Callable[[Verdict], None] = lambda _: None,
) -> tuple[Verdict, ...]:
    """Replay incidents, as many at a time as there are processors; `report` hears each as it is done."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        running = {pool.submit(replay, incident, rules, inhibitions): incident for incident in incidents}
        done = {}
        try:
            for future in as_completed(running):
                verdict = future.result()
                report(verdict)
                done[running[future].path] = verdict
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return tuple(done[incident.path] for incident in incidents)


def replay_report(verdicts: Sequence[Verdict], root: Path, seconds: float) -> Report:
    """Return the figures: how many went wrong, and how long each took to be detected."""
    flaws = [flaw for verdict in verdicts for flaw in verdict.flaws]
    ahead = [one.ahead_seconds for one in verdicts if one.ahead_seconds is not None]
    pages = [len({one.alert for one in verdict.episodes if one.pages}) for verdict in verdicts]
    figures = [
        Figure("incidents", len(verdicts), "incidents", ">= 1"),
        Figure("unmet", sum(not flaw.unexpected for flaw in flaws), "expectations", "== 0"),
        Figure("unexpected", sum(flaw.unexpected for flaw in flaws), "alerts", "== 0"),
        Figure("undetected", sum(one.detection is None for one in verdicts), "incidents", "== 0"),
        Figure("later_than_people", sum(one < 0 for one in ahead), "incidents", "== 0"),
        Figure("most_alerts_paging", max(pages, default=0), "alerts"),
        Figure("slowest_seconds", max((one.seconds for one in verdicts), default=0.0), "s"),
    ]
    for one in verdicts:
        first = one.detection.first if one.detection else float("nan")
        figures.append(Figure(f"{one.incident.name}_detected", first, "s after the beginning"))
    return Report("replay", revision(root), seconds, tuple(figures))
