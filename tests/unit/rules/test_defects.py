"""Defects of public rule sets: what the checks that start nothing but our parser say of each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue import Catalogue, load_catalogue
from stakewatch.rules.files import RuleFile, parse_rule_file
from stakewatch.rules.pitfall_findings import pitfall_findings
from stakewatch.rules.series import Known, flaws
from tests.bench.defects import Defect, learn_metrics, link_catalogue, load_defects

DEFECTS = load_defects()
PARSED = [one for one in DEFECTS if one.found_by in {"rules/pitfalls", "rules/catalogue"}]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Return ours with what all the defects are about, so that it is read once."""
    bundle = Bundle(tmp_path_factory.mktemp("defects"))
    link_catalogue(bundle)
    for number, defect in enumerate(DEFECTS):
        learn_metrics(bundle, defect, f"defect-{number}")
    return load_catalogue(bundle.catalogue)


def rule_file(folder: Path, rules: str) -> RuleFile:
    path = folder / "a.yaml"
    path.write_text(rules, encoding="utf-8")
    return parse_rule_file(rules, path)


def said(file: RuleFile, found_by: str, catalogue: Catalogue) -> Iterator[str]:
    if found_by == "rules/pitfalls":
        yield from (one.message for one in pitfall_findings([file], catalogue))
    else:
        known = Known(catalogue, frozenset(rule.name for rule in file.records))
        for rule in file.rules:
            yield from (f"{one.message}; {one.mend}" for one in flaws(rule.expression, known))


@pytest.mark.parametrize("defect", PARSED, ids=lambda one: one.name)
def test_a_published_defect_is_named_and_its_mended_form_is_not(
    defect: Defect, catalogue: Catalogue, tmp_path: Path
) -> None:
    published = said(rule_file(tmp_path, defect.rules), defect.found_by, catalogue)
    assert any(defect.says in one for one in published)
    mended = rule_file(tmp_path, defect.mended)
    assert not any(defect.says in one for one in said(mended, defect.found_by, catalogue))
    assert list(said(mended, "rules/pitfalls", catalogue)) == []


def test_there_are_thirty_and_each_has_its_source_and_differs_when_mended() -> None:
    assert len(DEFECTS) == 30
    assert all(one.source and one.defect and one.says for one in DEFECTS)
    assert all((one.rules, one.suite) != (one.mended, one.mended_suite) for one in DEFECTS)
    assert len({one.defect for one in DEFECTS}) == 30
