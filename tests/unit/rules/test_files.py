"""Reading rule files, and writing them again."""

from pathlib import Path

import pytest
import yaml

from stakewatch.errors import InputError
from stakewatch.rules.files import load_rule_files, parse_rule_file, print_rule_file, rule_paths

PATH = Path("rules/some.yaml")
TEXT = """\
groups:
  - name: beacon
    interval: 30s
    limit: 5
    rules:
      - record: level:metric:sum
        expr: sum(metric)
      # Why.
      - alert: Down
        expr: |
          # A clause.
          up == 0
        for: 2m
        keep_firing_for: 5m
        labels:
          severity: critical
        annotations:
          summary: "Down: yes"
          threshold: "0.10"
"""


def test_everything_has_its_line() -> None:
    rule_file = parse_rule_file(TEXT, PATH)
    (group,) = rule_file.groups
    record, alert = group.rules
    assert (group.name, group.interval, dict(group.more)) == ("beacon", "30s", {"limit": 5})
    assert (record.record, record.alert, record.line, record.expression_line) == (
        "level:metric:sum",
        None,
        6,
        7,
    )
    assert (alert.alert, alert.line, alert.expression_line) == ("Down", 9, 11)
    assert alert.expression == "# A clause.\nup == 0\n"
    assert (alert.duration, alert.keep_firing_for) == ("2m", "5m")
    assert [alert.line_of(part) for part in ("for", "labels.severity", "annotations.threshold")] == [
        13,
        16,
        19,
    ]
    assert rule_file.place(alert, "annotations.missing") == "rules/some.yaml:17"
    assert rule_file.place(record, "labels.severity") == "rules/some.yaml:6"


def test_numbers_in_texts_stay_as_written() -> None:
    alert = parse_rule_file(TEXT, PATH).alerts[0]
    assert alert.annotations["threshold"] == "0.10"


def test_what_is_printed_reads_the_same_and_keeps_unknown_fields() -> None:
    groups = parse_rule_file(TEXT, PATH).groups
    text = print_rule_file(groups, heading="Built.")
    assert text.startswith("# Built.\ngroups:\n")
    again = parse_rule_file(text, PATH).groups
    assert print_rule_file(again, heading="Built.") == text
    assert [rule.expression for rule in again[0].rules] == [rule.expression for rule in groups[0].rules]
    assert yaml.safe_load(text)["groups"][0]["limit"] == 5
    assert again[0].rules[1].annotations == groups[0].rules[1].annotations


def test_texts_that_look_like_other_types_stay_texts() -> None:
    text = (
        "groups: [{name: 'yes', rules: [{alert: 'null', expr: '1', labels: {a: '0x10', b: 'no', c: '~'}}]}]"
    )
    printed = print_rule_file(parse_rule_file(text, PATH).groups)
    (rule,) = yaml.safe_load(printed)["groups"][0]["rules"]
    assert rule == {"alert": "null", "expr": "1", "labels": {"a": "0x10", "b": "no", "c": "~"}}


def test_anchors_and_merge_keys_are_followed() -> None:
    text = (
        "groups: [{name: a, rules: [{alert: A, expr: up, labels: &l {severity: info, area: a}},"
        " {alert: B, expr: up, labels: {<<: *l, severity: critical}}]}]"
    )
    first, second = parse_rule_file(text, PATH).alerts
    assert dict(first.labels) == {"severity": "info", "area": "a"}
    assert dict(second.labels) == {"severity": "critical", "area": "a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"some\.yaml:1: the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("groups: [", "this is no YAML"),
        ("\tgroups: []", "this is no YAML"),
        ("[]", "the file must be a mapping"),
        ("rules: []", "a rule file has no field 'rules'"),
        ("{}", "a rule file needs groups"),
        ("groups: 3", "groups must be a list"),
        ("groups: [3]", "a group must be a mapping"),
        ("groups: [{rules: []}]", "a group needs a name"),
        ("groups:\n  - name: a\n    name: b\n", r"some\.yaml:3: 'name' stands twice"),
        ("groups: [{name: a, rules: [{expr: up}]}]", "either `alert` or `record`"),
        ("groups: [{name: a, rules: [{alert: A, record: b, expr: up}]}]", "either `alert` or `record`"),
        ("groups:\n  - name: a\n    rules:\n      - alert: A\n", r"some\.yaml:4: .*has no `expr`"),
        ("groups: [{name: a, rules: [{alert: A, expr: [up]}]}]", "expr must be one value"),
        ("groups: [{name: a, rules: [{alert: A, expr: up, labels: [a]}]}]", "labels must be a mapping"),
        ("groups: [{name: a, rules: [{alert: A, expr: up, labels: {a: {b: c}}}]}]", "a must be one value"),
        ("groups: [{[a]: b}]", "is no text"),
        ("a: &a [*a]", "a rule file has no field"),
        ("\x00", "this is no YAML"),
    ],
)
def test_a_broken_file_is_named_with_line_and_mend(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        parse_rule_file(text, PATH)
    assert raised.value.mend


def test_a_file_that_is_cut_off_anywhere_never_ends_in_a_traceback() -> None:
    for end in range(len(TEXT)):
        try:
            rule_file = parse_rule_file(TEXT[:end], PATH)
        except InputError:
            continue
        assert all(rule.expression is not None for rule in rule_file.rules)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "groups: " + "[" * 51])
def test_deep_nesting_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="nested deeper than 50 levels"):
        parse_rule_file(text, PATH)


def test_rule_files_are_found_in_sub_folders_and_tests_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.yaml", "a.yml", "a.test.yaml", "c_test.yml", "deep/d.yaml", "note.txt"):
        (tmp_path / name).write_text("groups: []", encoding="utf-8")
    found = [path.relative_to(tmp_path).as_posix() for path in rule_paths(tmp_path)]
    assert found == ["a.yml", "b.yaml", "deep/d.yaml"]
    assert len(load_rule_files(tmp_path)) == 3


def test_a_folder_without_rule_files_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no rule files here"):
        rule_paths(tmp_path / "missing")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    with pytest.raises(InputError, match="at most"):
        load_rule_files(tmp_path)
