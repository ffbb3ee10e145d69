"""Links to boards are read as Grafana and Prometheus read them, whatever their templates decide."""

import shutil
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana import checks
from stakewatch.grafana.references import (
    Reference,
    flaws_of,
    flaws_of_template,
    links_of,
    possible_texts,
    reference_of,
)

IF = '{{ if eq $labels.implementation "geth" }}geth_node{{ else }}fleet_overview{{ end }}'
BOARDS: dict[str, dict[str, Any]] = {
    "fleet": {"templating": {"list": [{"name": "datasource"}, {"name": "cluster"}]}},
    "geth_node": {"templating": {"list": [{"name": "cluster"}, {"name": "instance"}]}},
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://grafana.example/d/fleet", Reference("fleet", ())),
        ("https://a.example/grafana/d/fleet?var-cluster=x&orgId=1", Reference("fleet", ("cluster",))),
        ("/d/fleet?var-cluster=&var-instance=a&var-cluster=b", Reference("fleet", ("cluster", "instance"))),
        (
            "/d/fleet?${cluster:queryparam}&${__url_time_range}&var-instance=${__field.labels.instance}",
            Reference("fleet", ("instance", "cluster")),
        ),
        ("/d/fleet/a-name?var-cluster=x", Reference("fleet", ("cluster",))),
        ("https://grafana.example/dashboards", None),
        ("", None),
    ],
)
def test_a_link_names_its_board_and_variables(url: str, expected: Reference | None) -> None:
    assert reference_of(url) == expected


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("", ("",)),
        ("plain", ("plain",)),
        ("a={{ $labels.a }}&b", ("a=x&b",)),
        (f"d/{IF}?c", ("d/geth_node?c", "d/fleet_overview?c")),
        ("a{{ if .A }}b{{ end }}", ("ab", "a")),
        ("{{ if .A }}a{{ else if .B }}b{{ else }}c{{ end }}", ("a", "b", "c")),
        ("{{ if .A }}a{{ if .B }}b{{ end }}{{ end }}", ("ab", "a", "")),
        ("a {{- if .A -}} b {{ end -}}\n c", ("ab c", "ac")),
    ],
)
def test_all_branches_of_a_template_are_followed(template: str, texts: tuple[str, ...]) -> None:
    assert possible_texts(template) == texts


@pytest.mark.parametrize(
    "template", ["{{ if .A }}a", "a{{ end }}b", "a{{ else }}b", "{{ if .A }}{{ if .B }}{{ end }}"]
)
def test_a_broken_template_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="without an"):
        possible_texts(template)
    (flaw,) = flaws_of_template(template, BOARDS)
    assert flaw.startswith("the template is broken: an ")


@pytest.mark.parametrize(
    ("url", "flaws"),
    [
        ("/d/fleet?var-cluster=a", []),
        ("/d/fleet?var-cluster=a&var-instance=b", ["the board fleet has no variable instance"]),
        ("/d/flet?var-cluster=a", ["no board has the uid flet"]),
        ("/d/${__value.raw}?var-cluster=a", []),
        ("/alerting", ["the link leads to no board"]),
    ],
)
def test_a_link_to_what_does_not_exist_is_a_flaw(url: str, flaws: list[str]) -> None:
    assert list(flaws_of(url, BOARDS)) == flaws


def test_every_branch_of_an_alerts_link_is_looked_at() -> None:
    template = (
        '/d/{{ if eq $labels.a "b" }}geth_node{{ else }}fleet{{ end }}?var-instance={{ $labels.instance }}'
    )
    assert list(flaws_of_template(template, BOARDS)) == ["the board fleet has no variable instance"]


def test_links_are_found_wherever_they_stand_in_a_board() -> None:
    board = {
        "links": [{"url": "https://elsewhere.example/d/a"}],
        "panels": [
            {"fieldConfig": {"defaults": {"links": [{"url": "/d/one"}]}}},
            {"panels": [{"fieldConfig": {"overrides": [{"properties": [{"value": [{"url": "/d/two"}]}]}]}}]},
            {"links": [{"url": "https://runbooks.example/d/three"}]},
        ],
    }
    assert list(links_of(board)) == ["/d/one", "/d/two"]


def test_every_link_of_our_own_alerts_and_boards_leads_somewhere(bundle: Bundle) -> None:
    assert list(checks.links(bundle, Configuration())) == []


def test_an_alert_whose_board_is_gone_is_found_at_its_line(bundle: Bundle) -> None:
    (bundle.dashboards / "monitoring.py").unlink()
    found = list(checks.links(bundle, Configuration()))
    message = "the dashboard_url of Watchdog: no board has the uid monitoring"
    (finding,) = (finding for finding in found if finding.message == message)
    assert finding.path.name == "monitoring.yaml"
    line = finding.path.read_text(encoding="utf-8").splitlines()[finding.line - 1]
    assert line.strip() == "- alert: Watchdog"
    # Two boards link to it too.
    assert [one.path.name for one in found if one.path.suffix == ".py"] == ["logs.py", "validators.py"]


def test_an_alert_that_sets_a_variable_the_board_lacks_is_found(bundle: Bundle) -> None:
    path = bundle.rules / "validators.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("&var-group=", "&var-pod="), encoding="utf-8")
    found = list(checks.links(bundle, Configuration()))
    assert len(found) == text.count("&var-group=")
    assert all("the board validators has no variable pod" in finding.message for finding in found)
    assert all("give the board the variable" in finding.mend for finding in found)


def test_an_alert_without_a_link_is_found(bundle: Bundle) -> None:
    shutil.rmtree(bundle.rules)
    bundle.rules.mkdir()
    rule = "groups: [{name: a, rules: [{alert: Lost, expr: up == 0}]}]"
    (bundle.rules / "a.yaml").write_text(rule, encoding="utf-8")
    for path in bundle.dashboards.glob("*.py"):
        path.unlink()
    (finding,) = checks.links(bundle, Configuration())
    assert finding.message == "the dashboard_url of Lost: the link leads to no board"
    assert finding.mend == "there are no boards: remove it"
    assert finding.line == 1
