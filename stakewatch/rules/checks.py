"""Checks on rules, their runbooks and their tests."""

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration, Urls
from stakewatch.bundle.document import read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.problems import quoted
from stakewatch.catalogue import load_catalogue
from stakewatch.errors import InputError
from stakewatch.promql import PromqlError, replace_threshold
from stakewatch.promql.errors import line_and_column
from stakewatch.rules import promtool, unit_tests
from stakewatch.rules import routing_checks as routing_checks  # noqa: PLC0414 - it registers its checks
from stakewatch.rules.files import Rule, RuleFile, load_rule_files, rule_paths
from stakewatch.rules.overriding import THRESHOLD
from stakewatch.rules.pitfall_findings import pitfall_findings
from stakewatch.rules.reference import alert_page, alert_reference
from stakewatch.rules.rendering import template_findings
from stakewatch.rules.series import Known, flaws

SEVERITIES = ("critical", "warning", "info")
_REQUIRED = ("summary", "description", "runbook_url", "dashboard_url")
_LONGEST_SUMMARY = 100
_BARE_VALUE = re.compile(r"\{\{-?\s*\$value\s*-?\}\}")
_QUERY_BLOCK = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_QUERY = re.compile(r"(?:.+\n)+")
_RUNBOOK_SECTIONS = ("Meaning", "Impact", "Diagnosis", "Mitigation", "What not to do")


@check("rules/syntax", "A rule that a promtool of either major refuses, or that stands twice in its file.")
def syntax(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what Prometheus' own checkers have against the rule files."""
    runs = [(path, major) for path in rule_paths(bundle.rules) for major in promtool.MAJORS]
    with ThreadPoolExecutor(max_workers=2) as pool:
        for outcome in pool.map(lambda run: promtool.check_rules(*run), runs):
            for failure in outcome.failures:
                yield Finding(
                    failure.path,
                    failure.line or 1,
                    f"{failure.alert}: {failure.message}" if failure.alert else failure.message,
                    f"promtool {outcome.version} says so: mend it until `promtool check rules` accepts it",
                    column=failure.column or 0,
                )


@check("rules/names", "Two alerts of one name, or two rules that record one series.")
def names(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield rules whose name another one has: overrides, runbooks and tests go by name."""
    seen: dict[str, str] = {}
    for rule_file in load_rule_files(bundle.rules):
        for rule in rule_file.rules:
            if rule.name in seen:
                message = f"{rule.name} stands in {seen[rule.name]} already"
                yield Finding(rule_file.path, rule.line, message, "two severities are two alerts: rename one")
            seen.setdefault(rule.name, f"{rule_file.path.name}:{rule.line}")


@check("rules/labels", "An alert without a severity that routes know, or without an area.")
def labels(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield alerts whose labels Alertmanager could not route or inhibit by."""
    for rule_file, rule in _alerts(bundle):
        line = rule.line_of("labels.severity")
        if rule.labels.get("severity") not in SEVERITIES:
            message = f"{rule.alert} has the severity {quoted(rule.labels.get('severity', ''))}"
            mend = "critical pages, warning makes a ticket, info is for reading"
            yield Finding(rule_file.path, line, message, mend)
        if not rule.labels.get("area"):
            message = f"{rule.alert} has no area"
            yield Finding(rule_file.path, line, message, f"write `area: {rule_file.path.stem}`")
        for name, text in rule.labels.items():
            if "$value" in text:
                yield Finding(
                    rule_file.path,
                    rule.line_of(f"labels.{name}"),
                    f"the label {name} of {rule.alert} changes with the value: each change is a new alert",
                    "put the value into the description",
                )


@check(
    "rules/annotations", "An alert whose texts or links are missing, too long, or not as a person needs them."
)
def annotations(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what is wrong with the texts and links of alerts."""
    for rule_file, rule in _alerts(bundle):
        for name, message, mend in _annotation_flaws(rule):
            line = rule.line_of(f"annotations.{name}")
            yield Finding(rule_file.path, line, f"{rule.alert}: {message}", mend)


@check("rules/comments", "A rule without a comment that says why this number and this `for`.")
def comments(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield alerts without a comment right above them."""
    for rule_file in load_rule_files(bundle.rules):
        lines = read_text(rule_file.path).splitlines()
        for rule in rule_file.alerts:
            above = lines[rule.line - 2].strip() if rule.line > 1 else ""
            if not above.startswith("#"):
                message = f"{rule.alert} has no comment above it"
                mend = "say why this number and why this `for`"
                yield Finding(rule_file.path, rule.line, message, mend)


@check("rules/thresholds", "A threshold that is no number, or not once the right side of a comparison.")
def thresholds(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield alerts whose annotation `threshold` an override could not replace."""
    for rule_file, rule in _alerts(bundle):
        if THRESHOLD not in rule.annotations:
            continue
        written = rule.annotations[THRESHOLD]
        line = rule.line_of(f"annotations.{THRESHOLD}")
        try:
            replace_threshold(rule.expression, float(written), 1.0)
        except PromqlError as error:
            yield Finding(rule_file.path, line, f"{rule.alert}: {error.message}", error.mend or "mend it")
        except ValueError:
            message = f"{rule.alert}: the threshold {quoted(written)} is no number"
            yield Finding(rule_file.path, line, message, 'write a plain number, such as "0.85"')


@check(
    "rules/runbooks", "An alert without a runbook, a runbook without an alert or without one of its parts."
)
def runbooks(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what is missing between alerts and docs/runbooks, both ways."""
    pages = {path.stem: path for path in sorted(bundle.runbooks.glob("*.md"))}
    alerts = {rule.name for _, rule in _alerts(bundle)}
    for rule_file, rule in _alerts(bundle):
        if rule.alert not in pages:
            message = f"{rule.alert} has no runbook"
            mend = f"write {bundle.runbooks.relative_to(bundle.root)}/{rule.alert}.md"
            yield Finding(rule_file.path, rule.line, message, mend)
    for name, page in pages.items():
        if name not in alerts and name != "README":
            yield Finding(page, 1, f"there is no alert {name}", "remove the page, or mend its name")
            continue
        headings = re.findall(r"^#+ (.+?)\s*$", read_text(page), flags=re.MULTILINE)
        for section in _RUNBOOK_SECTIONS:
            if name in alerts and section not in headings:
                yield Finding(page, 1, f"the runbook has no part {section!r}", f"write `## {section}`")


@check("rules/catalogue", "A metric, label or label value in a rule that does not exist, or that misleads.")
def catalogue(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what expressions read that no component exposes and no rule records."""
    known = _known(bundle)
    for rule_file in load_rule_files(bundle.rules):
        for rule in rule_file.rules:
            for line, message, mend in _query_flaws(rule.expression, known):
                place = rule.expression_line + line - 1
                yield Finding(rule_file.path, place, f"{rule.name}: {message}", mend)


@check("rules/pitfalls", "A rule that loads and evaluates, and does not do what was meant.")
def rule_pitfalls(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the pitfalls that no waiver excuses, and waivers that excuse nothing or are out of date."""
    rule_files = load_rule_files(bundle.rules)
    yield from pitfall_findings(rule_files, load_catalogue(bundle.catalogue))


@check("rules/templates", "A text of an alert that parses and cannot be filled in when it fires.")
def templates(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the templates that fail when Prometheus fills them in."""
    yield from template_findings(load_rule_files(bundle.rules))


@check("rules/runbook-queries", "A query in a runbook that does not parse, or reads what does not exist.")
def runbook_queries(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what is wrong with the queries that a runbook offers for pasting, parted by empty lines."""
    known = _known(bundle)
    for page in sorted(bundle.runbooks.glob("*.md")):
        text = read_text(page)
        for block in _QUERY_BLOCK.finditer(text):
            for query in _QUERY.finditer(text, block.start(1), block.end(1)):
                first = text.count("\n", 0, query.start()) + 1
                for line, message, mend in _query_flaws(query[0], known):
                    yield Finding(page, first + line - 1, message, mend)


@check("rules/tests-guards", "A test that promtool passes although it tests nothing, or not what it says.")
def tests_guards(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the broken tests that promtool lets pass."""
    yield from _of_tests(bundle, unit_tests.guard)


@check("rules/tests-scenarios", "A test without a name, or silent about an alert of its rule file.")
def tests_scenarios(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield tests beside whose expectations another alert could fire unseen."""
    yield from _of_tests(bundle, unit_tests.unsaid)


@check("rules/tests-files", "A rule file without a test file of its name.")
def tests_files(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield rule files that nobody tests."""
    for path in rule_paths(bundle.rules):
        expected = bundle.rule_tests / path.relative_to(bundle.rules).with_suffix(".test.yaml")
        if not expected.is_file():
            mend = f"write {expected.relative_to(bundle.root)}"
            yield Finding(path, 1, f"{path.name} has no tests", mend)


@check("rules/reference", "A reference of the alerts that is not what the rules and their tests make.")
def reference(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield docs/alerts.md where it is out of date; a bundle may do without one."""
    page = alert_page(bundle)
    if page.is_file() and read_text(page) != alert_reference(bundle):
        yield Finding(page, 1, "the rules or their tests have changed since", "run `stakewatch alerts`")


def _known(bundle: Bundle) -> Known:
    rule_files = load_rule_files(bundle.rules)
    return Known(
        catalogue=load_catalogue(bundle.catalogue),
        recorded=frozenset(rule.name for rule_file in rule_files for rule in rule_file.records),
    )


def _query_flaws(expression: str, known: Known) -> Iterator[tuple[int, str, str]]:
    """Yield line in the expression (from 1), message and mend."""
    try:
        for flaw in flaws(expression, known):
            yield line_and_column(expression, flaw.start)[0], flaw.message, flaw.mend
    except PromqlError as error:
        yield error.line, error.message, error.mend or "mend the expression"


def _alerts(bundle: Bundle) -> Iterator[tuple[RuleFile, Rule]]:
    for rule_file in load_rule_files(bundle.rules):
        for rule in rule_file.alerts:
            yield rule_file, rule


def _annotation_flaws(rule: Rule) -> Iterator[tuple[str, str, str]]:
    """Yield annotation, message and mend of each flaw."""
    texts = rule.annotations
    for name in _REQUIRED:
        if not texts.get(name, "").strip():
            yield name, f"the annotation {name} is missing", f"write `{name}: …`"
    summary = texts.get("summary", "")
    if "{{" in summary:
        yield "summary", "the summary has a template", "what varies belongs into the description"
    if not summary.isascii():
        yield "summary", "the summary is not ASCII, and SNS replaces such a subject", "use plain letters"
    if len(summary) > _LONGEST_SUMMARY:
        yield "summary", f"the summary has {len(summary)} characters", f"at most {_LONGEST_SUMMARY} are shown"
    if _BARE_VALUE.search(texts.get("description", "")):
        yield "description", "the value is not rounded", '`{{ $value | printf "%.0f" }}`, or humanize it'
    runbook, grafana = f"{Urls().runbooks}/{rule.alert}", f"{Urls().grafana}/d/"
    if texts.get("runbook_url", runbook) != runbook:
        yield "runbook_url", "the runbook's link is another's", f"write {runbook}; the build sets the base"
    if not texts.get("dashboard_url", grafana).startswith(grafana):
        yield "dashboard_url", "the dashboard's link has another base", f"begin with {grafana}"


def _of_tests(
    bundle: Bundle, find: Callable[[unit_tests.UnitTestFile], Iterable[Finding]]
) -> Iterator[Finding]:
    for path in unit_tests.unit_test_paths(bundle.rule_tests):
        try:
            yield from find(unit_tests.load_unit_tests(path))
        except InputError as error:
            file, _, line = (error.where or "").rpartition(":")
            known = line.isdigit()
            yield Finding(
                Path(file) if known else path, int(line) if known else 1, error.what, error.mend or "mend it"
            )
