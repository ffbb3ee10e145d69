"""The page shows each part of an expression with what is proved of it."""

from pathlib import Path

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.rules.coverage import AlertCoverage, Coverage, Verdict
from stakewatch.rules.coverage_page import parts, print_coverage_page, write_coverage_page
from stakewatch.rules.files import Rule
from stakewatch.rules.twins import Case, Point, points

EXPRESSION = """\
# how full
used{kind="disk"} > 80
  unless on (instance) (maintenance == 1 or a{kind="disk"} > b)
"""


def alert(
    expression: str = EXPRESSION, *, proof: str | None = "a test", but: Case | None = None
) -> AlertCoverage:
    found = points(Rule(expression=expression, alert="A", duration="1m"), {})
    return AlertCoverage(
        name="A",
        path=Path("rules.yaml"),
        line=4,
        expression=expression,
        tests=1,
        verdicts=tuple(
            Verdict(point, None if point.case is but else proof, "t.yaml:1", "that", "mend")
            for point in found
        ),
    )


def coverage(*alerts: AlertCoverage) -> Coverage:
    return Coverage(alerts=alerts, remarks=(), versions={"3": 1}, tests=1, seconds=1)


def test_the_pieces_together_are_the_expression() -> None:
    assert "".join(part.text for part in parts(alert())) == EXPRESSION


def test_operators_numbers_and_matchers_are_marked() -> None:
    marked = [part.text for part in parts(alert()) if part.title]
    assert marked == ['kind="disk"', "> 80", "unless", "or", 'kind="disk"', ">"]


def test_what_is_missing_is_told_apart() -> None:
    found = {part.text for part in parts(alert(but=Case.THRESHOLD)) if not part.proved}
    assert found == {"> 80", ">"}


def test_both_sides_of_or_are_told_at_the_operator() -> None:
    (both,) = [part for part in parts(alert()) if part.text == "or"]
    assert both.title.count("branches: ") == 2


def test_one_side_that_is_missing_marks_the_operator() -> None:
    whole = alert("a or b")
    one = Point(Case.BRANCHES, "or b")
    verdicts = tuple(
        Verdict(each.point, None if each.point == one else "t", None, "", "") for each in whole.verdicts
    )
    partly = AlertCoverage("A", whole.path, 1, whole.expression, 1, verdicts)
    assert [part.text for part in parts(partly) if not part.proved] == ["or"]


def test_hostile_names_are_escaped_and_the_page_loads_nothing() -> None:
    page = print_coverage_page(
        coverage(alert('a{x="<script>alert(1)</script>"} > 1', proof='"><script>alert(2)</script>'))
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page


def test_almost_all_is_not_shown_as_all() -> None:
    many = [alert() for _ in range(1000)]
    page = print_coverage_page(coverage(*many, alert("a", proof=None)))
    assert "<h1>Coverage of alerts: 99.9 %</h1>" in page


def test_a_page_that_cannot_be_written_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(StakewatchError) as caught:
        write_coverage_page(coverage(alert()), tmp_path / "missing" / "page.html")
    assert caught.value.where == str(tmp_path / "missing" / "page.html")
