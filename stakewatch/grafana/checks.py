"""Checks on boards: Grafana's models, the linter's rules, the catalogue, links, and the generated files."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.extra import require_extra

if TYPE_CHECKING:
    from stakewatch.grafana.generation import Source
    from stakewatch.grafana.lint import Flaw

# The modules that need the extra are imported by the checks, so that the other rooms' checks run without it.


@check(
    "grafana/round-trip", "A board with something that the models of Grafana 10.4 do not know or would lose."
)
def round_trip(bundle: Bundle, configuration: Configuration) -> Iterator[Finding]:
    """Yield what the models of grafana-foundation-sdk have against each board."""
    require_extra()
    from stakewatch.grafana.round_trip import differences  # noqa: PLC0415

    for source, board in _boards(bundle, configuration):
        for difference in differences(board):
            yield Finding(source.path, 1, difference, "use what stakewatch.grafana.panels offers")


@check(
    "grafana/lint",
    "A panel without unit, query or place, or a word on what is normal, a fixed data source, and the like.",
)
def lint(bundle: Bundle, configuration: Configuration) -> Iterator[Finding]:
    """Yield what the linter's rules and ours have against each board, and boards that share an address."""
    require_extra()
    from stakewatch.grafana.lint import lint as flaws  # noqa: PLC0415

    yield from _linted(bundle, configuration, flaws)
    seen: dict[str, str] = {}
    for source, board in _boards(bundle, configuration):
        uid = str(board["uid"])
        if uid in seen:
            message = f"the uid {uid} is that of {seen[uid]} too: Grafana would keep only one of the boards"
            yield Finding(source.path, 1, message, "give it another uid")
        seen[uid] = source.path.name
        if uid != source.path.stem:
            message = f"the uid {uid} is not the module's name: links of alerts would not find the board"
            yield Finding(source.path, 1, message, f'write uid="{source.path.stem}"')


@check(
    "grafana/catalogue", "A query that does not parse, or reads what no component exposes or what misleads."
)
def catalogue(bundle: Bundle, configuration: Configuration) -> Iterator[Finding]:
    """Yield the queries that cannot be right, each parsed with its variables filled in."""
    require_extra()
    from stakewatch.catalogue.inventory import load_catalogue  # noqa: PLC0415
    from stakewatch.grafana.log_queries import lint_log_queries  # noqa: PLC0415
    from stakewatch.grafana.rulefiles import recorded_series  # noqa: PLC0415
    from stakewatch.grafana.series import Known, lint_queries  # noqa: PLC0415

    known = Known(load_catalogue(bundle.catalogue), recorded_series(bundle.rules))
    yield from _linted(
        bundle, configuration, lambda board: (*lint_queries(board, known), *lint_log_queries(board))
    )


@check("grafana/thresholds", "A panel that shows what an alert watches, and not the alert's threshold.")
def thresholds(bundle: Bundle, configuration: Configuration) -> Iterator[Finding]:
    """Yield the panels on which one does not see how far it is to an alert on the same thing."""
    require_extra()
    from stakewatch.grafana.setting import setting_of  # noqa: PLC0415
    from stakewatch.grafana.watched import lint_thresholds, subjects_of_alerts  # noqa: PLC0415

    subjects = subjects_of_alerts(bundle.rules)
    alerts = setting_of(bundle, configuration).alerts
    yield from _linted(bundle, configuration, lambda board: lint_thresholds(board, subjects, alerts))


@check("grafana/generated", "A file of dashboards/json that is not what its module makes.")
def generated_files(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the committed files that differ from what the modules make with default settings."""
    require_extra()
    from stakewatch.grafana.generation import committed, compare, generate, load_boards  # noqa: PLC0415
    from stakewatch.grafana.setting import setting_of  # noqa: PLC0415

    files = generate(load_boards(bundle), setting_of(bundle, Configuration()))
    for difference in compare(files, committed(bundle)):
        mend = "run `stakewatch dashboards` and commit what it writes; delete what no module makes"
        yield Finding(difference.path, 1, f"the file {difference.what}", mend)


@check(
    "grafana/links", "A link of an alert or a board to a board, or a variable of one, that does not exist."
)
def links(bundle: Bundle, configuration: Configuration) -> Iterator[Finding]:
    """Yield the links that would open nothing, or a board that does not know what it is told."""
    require_extra()
    from stakewatch.grafana.references import flaws_of, flaws_of_template, links_of  # noqa: PLC0415
    from stakewatch.grafana.rulefiles import alert_rules, dashboard_url, line_of_alert  # noqa: PLC0415

    boards = list(_boards(bundle, configuration))
    by_uid = {str(board["uid"]): board for _, board in boards}
    known = ", ".join(sorted(by_uid))
    mend = (
        f"name one of {known}, or give the board the variable" if known else "there are no boards: remove it"
    )
    for source, board in boards:
        for url in dict.fromkeys(links_of(board)):
            for flaw in flaws_of(url, by_uid):
                yield Finding(source.path, 1, f"a link of the board: {flaw}", mend)
    for path, rule in alert_rules(bundle.rules):
        for flaw in flaws_of_template(dashboard_url(rule), by_uid):
            message = f"the dashboard_url of {rule['alert']}: {flaw}"
            yield Finding(path, line_of_alert(path, str(rule["alert"])), message, mend)


def _boards(bundle: Bundle, configuration: Configuration) -> "Iterator[tuple[Source, Mapping[str, Any]]]":
    from stakewatch.grafana.generation import generated, load_boards  # noqa: PLC0415
    from stakewatch.grafana.setting import setting_of  # noqa: PLC0415

    setting = setting_of(bundle, configuration)
    for source in load_boards(bundle):
        yield source, generated(source, setting)


def _linted(
    bundle: Bundle,
    configuration: Configuration,
    flaws: "Callable[[Mapping[str, Any]], Iterable[Flaw]]",
) -> Iterator[Finding]:
    for source, board in _boards(bundle, configuration):
        for flaw in flaws(board):
            subject = f"{flaw.panel}: " if flaw.panel else ""
            line = source.line_of(flaw.panel) if flaw.panel else 1
            yield Finding(source.path, line, f"{subject}{flaw.message} ({flaw.rule})", flaw.mend)
