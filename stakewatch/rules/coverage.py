"""Coverage: which cases the tests of each alert prove, found by running them with the alert's twins."""

import os
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.reports import Figure, Report, revision
from stakewatch.errors import InputError
from stakewatch.promql import PromqlError
from stakewatch.rules.files import Rule, RuleFile
from stakewatch.rules.passing import run_as_it_is, why_failed
from stakewatch.rules.probes import Answers, Probed, probe
from stakewatch.rules.promtool import Outcome
from stakewatch.rules.questions import Labels
from stakewatch.rules.scenarios import Scenario, find_rule_files, find_scenarios
from stakewatch.rules.twins import Case, Point, Twin, for_seconds, points, recorded_instances, twins

_CLAIMS: Mapping[Case, str] = MappingProxyType(
    {
        Case.FIRES: "that it fires",
        Case.BEFORE: "that it is silent one evaluation before `for` has passed",
        Case.THRESHOLD: "what it does at the exact threshold",
        Case.DECOY: "that a matcher keeps a decoy out",
        Case.INSTANCES: "that two instances are told apart",
        Case.BRANCHES: "what a branch does",
    }
)
_FIRES_EXACTLY = "that it fires at the first evaluation at which `for` has passed"
_MENDS: Mapping[Case, str] = MappingProxyType(
    {
        Case.FIRES: "add a test that expects it, looking at the first evaluation at which it can fire",
        Case.BEFORE: "add a test that expects nothing one evaluation before `for` has passed",
        Case.THRESHOLD: "add a test with a value equal to the threshold, looked at after `for` has passed",
        Case.DECOY: "add a series that this matcher keeps out and that would change what fires",
        Case.INSTANCES: "add a second series of labels to a test in which one fires: silent, or firing too",
        Case.BRANCHES: "add a test in which this side alone decides whether the alert fires",
    }
)


@dataclass(frozen=True)
class Verdict:
    """Whether a point is proved: by the first test that does (its title and place), else by none.

    `what` is the sentence that would be proved, `mend` the kind of test that proves it.
    """

    point: Point
    proof: str | None
    place: str | None
    what: str
    mend: str

    @property
    def proved(self) -> bool:
        """Whether a test proves it."""
        return self.proof is not None


@dataclass(frozen=True)
class AlertCoverage:
    """What is proved of one alert; `tests` counts the tests that look at it."""

    name: str
    path: Path
    line: int
    expression: str
    tests: int
    verdicts: tuple[Verdict, ...]

    def of(self, case: Case) -> tuple[Verdict, ...]:
        """Return the verdicts on one case: none where it cannot apply."""
        return tuple(verdict for verdict in self.verdicts if verdict.point.case == case)

    @property
    def missing(self) -> tuple[Verdict, ...]:
        """What no test proves."""
        return tuple(verdict for verdict in self.verdicts if not verdict.proved)


@dataclass(frozen=True)
class Coverage:
    """What is proved of all alerts; `remarks` are tests that could not count.

    `versions` says of each version of promtool how many test files were run with it.
    """

    alerts: tuple[AlertCoverage, ...]
    remarks: tuple[Finding, ...]
    versions: Mapping[str, int]
    tests: int
    seconds: float

    @property
    def points(self) -> int:
        """How many points there are to prove."""
        return sum(len(alert.verdicts) for alert in self.alerts)

    @property
    def proved(self) -> int:
        """How many of them are proved."""
        return self.points - sum(len(alert.missing) for alert in self.alerts)

    @property
    def percent(self) -> float:
        """The share of points that are proved."""
        return 100 * self.proved / self.points

    @property
    def complete(self) -> bool:
        """Whether every point is proved and every test counted."""
        return self.proved == self.points and not self.remarks


def measure_coverage(
    rules: Path, tests: Path, report: Callable[[int, int], None] = lambda _done, _of: None
) -> Coverage:
    """Run all tests below `tests` with twins of the alerts below `rules`, and return what they prove.

    Both may be folders or single files. Only tests that pass count: on the newer major of promtool, or, for a
    file that does not, on the older. `report` hears how many of how many runs
    are done. Raises InputError when there are no alerts or no tests, or a file or an expression is broken;
    StakewatchError when promtool is missing.
    """
    started = time.monotonic()
    rule_files = find_rule_files(rules)
    subjects = _subjects(rule_files)
    scenarios = find_scenarios(tests)
    made: dict[tuple[Path, int, float], tuple[Twin, ...]] = {}
    prepared = [(scenario, _probed(scenario, subjects.keys(), made)) for scenario in scenarios]
    runs, answers = _run(prepared, report)
    proofs: dict[tuple[Path, int, Point], Scenario] = {}
    looking: Counter[tuple[Path, int]] = Counter()
    remarks: list[Finding] = []
    for (scenario, probed), answer in zip(prepared, answers, strict=True):
        problem = why_failed(runs[scenario.test_file.path], scenario) or answer.problem
        if problem is not None:
            mend = "`stakewatch test` shows what fails; mend that first"
            message = f"the test {scenario.title} does not count: {problem}"
            remarks.append(Finding(scenario.test_file.path, scenario.line, message, mend))
            continue
        for position, one in enumerate(probed):
            key = (one.path, one.position)
            looking[key] += 1
            for point in _proved(position, one, scenario, answer):
                proofs.setdefault((*key, point), scenario)
    alerts = tuple(
        AlertCoverage(
            name=rule.name,
            path=path,
            line=rule.line,
            expression=rule.expression,
            tests=looking[path, place],
            verdicts=tuple(_verdict(point, rule, proofs.get((path, place, point))) for point in wanted),
        )
        for (path, place), (rule, wanted) in subjects.items()
    )
    return Coverage(
        alerts=alerts,
        remarks=tuple(remarks),
        versions=MappingProxyType(Counter(run.version for run in runs.values())),
        tests=len(scenarios),
        seconds=time.monotonic() - started,
    )


def coverage_report(coverage: Coverage, folder: Path) -> Report:
    """Return the figures of a measurement of the bundle in `folder`."""
    figures = (
        Figure("percent", coverage.percent, "%", "== 100"),
        Figure("alerts", len(coverage.alerts), "alerts"),
        Figure("points", coverage.points, "points"),
        Figure("missing", coverage.points - coverage.proved, "points", "== 0"),
        Figure("tests_not_counted", len(coverage.remarks), "tests", "== 0"),
    )
    return Report(report="coverage", revision=revision(folder), seconds=coverage.seconds, figures=figures)


def _subjects(rule_files: Sequence[RuleFile]) -> dict[tuple[Path, int], tuple[Rule, tuple[Point, ...]]]:
    """Return each alert by its file and place in the file, with what there is to prove of it."""
    try:
        recorded = recorded_instances(rule for rule_file in rule_files for rule in rule_file.rules)
    except PromqlError as error:
        raise InputError(
            f"a recording rule is broken: {error}", mend="`stakewatch check` shows where"
        ) from error
    found = {}
    for rule_file in rule_files:
        for position, rule in enumerate(rule_file.rules):
            if rule.alert is None:
                continue
            try:
                wanted = points(rule, recorded)
            except (PromqlError, InputError) as error:
                raise InputError(str(error.what), where=rule_file.place(rule), mend=error.mend) from error
            found[rule_file.path.resolve(), position] = (rule, wanted)
    if not found:
        raise InputError("no alerts in these rules", mend="name the folder of alerting rules with --rules")
    return found


def _probed(
    scenario: Scenario,
    wanted: Container[tuple[Path, int]],
    made: dict[tuple[Path, int, float], tuple[Twin, ...]],
) -> tuple[Probed, ...]:
    """Return the wanted alerts that a scenario looks at; `made` keeps twins for the scenarios to come."""
    found = []
    for rule_file in scenario.rule_files:
        for position, rule in enumerate(rule_file.rules):
            if rule.alert not in scenario.looks or (rule_file.path, position) not in wanted:
                continue
            key = (rule_file.path, position, scenario.step_seconds)
            if key not in made:
                made[key] = twins(rule, scenario.step_seconds)
            found.append(Probed(rule_file.path, position, rule, made[key]))
    return tuple(found)


def _run(
    prepared: Sequence[tuple[Scenario, tuple[Probed, ...]]], report: Callable[[int, int], None]
) -> tuple[Mapping[Path, Outcome], Sequence[Answers]]:
    """Run the tests as they are, then each with its twins; as many at once as there are processors."""
    paths = list(dict.fromkeys(scenario.test_file.path for scenario, _ in prepared))
    of = len(paths) + len(prepared)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            plain = [pool.submit(run_as_it_is, path) for path in paths]
            for done, future in enumerate(as_completed(plain), start=1):
                future.result()
                report(done, of)
            outcomes = {path: future.result() for path, future in zip(paths, plain, strict=True)}
            probes = [
                pool.submit(_answers, scenario, probed, outcomes[scenario.test_file.path].program)
                for scenario, probed in prepared
            ]
            for done, answered in enumerate(as_completed(probes), start=len(paths) + 1):
                answered.result()
                report(done, of)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcomes, [answered.result() for answered in probes]


def _answers(scenario: Scenario, probed: tuple[Probed, ...], program: str) -> Answers:
    return probe(scenario, probed, program) if probed else Answers()


def _proved(position: int, probed: Probed, scenario: Scenario, answers: Answers) -> Iterator[Point]:
    """Yield what a passing test proves of an alert."""
    times = scenario.looks[probed.rule.name]
    fired = {at: answers.firing.get((at, position, 0), Counter()) for at in times}
    for number, twin in enumerate(probed.twins):
        if twin.point is None:
            continue
        if (position, number) in answers.broken or any(
            _differ(fired[at], answers.firing.get((at, position, number), Counter()), twin) for at in times
        ):
            yield twin.point
    if not for_seconds(probed.rule) and any(fired.values()):
        yield Point(Case.FIRES)
    written = frozenset(probed.rule.labels)
    for at in times:
        if fired[at] and _told_apart(set(fired[at]), answers.instances[at, position], written):
            yield Point(Case.INSTANCES)


def _differ(fired: Counter[Labels], twin_fired: Counter[Labels], twin: Twin) -> bool:
    if twin.ignoring is None:
        return fired != twin_fired
    return _without(fired, twin.ignoring) != _without(twin_fired, twin.ignoring)


def _without(fired: Counter[Labels], label: str) -> Counter[Labels]:
    found: Counter[Labels] = Counter()
    for labels, count in fired.items():
        found[frozenset(pair for pair in labels if pair[0] != label)] += count
    return found


def _told_apart(fired: set[Labels], could_fire: frozenset[Labels], written: frozenset[str]) -> bool:
    """Tell whether two fired, or one did and another that could have did not.

    Labels that only one side has do not tell instances apart, nor do those that the rule writes itself.
    """
    if len(fired) > 1:
        return True
    (alone,) = fired
    labels = {name: value for name, value in alone if name not in written}
    return any(
        any(labels.get(name, value) != value for name, value in other if name not in written)
        for other in could_fire
    )


def _verdict(point: Point, rule: Rule, scenario: Scenario | None) -> Verdict:
    what = _FIRES_EXACTLY if point.case is Case.FIRES and for_seconds(rule) else _CLAIMS[point.case]
    mend = _MENDS[point.case]
    if scenario is None:
        return Verdict(point, None, None, what, mend)
    return Verdict(point, scenario.title, f"{scenario.test_file.path}:{scenario.line}", what, mend)
