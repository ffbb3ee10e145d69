"""Queries for logs are read as Loki reads them, as far as boards use the language."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.grafana.board import Board
from stakewatch.grafana.boardfile import panels
from stakewatch.grafana.filling import BUILT_IN, fill
from stakewatch.grafana.generation import generated, load_board
from stakewatch.grafana.log_queries import STREAM_LABELS, lint_log_queries
from stakewatch.grafana.logql import LogqlError, LogSelector, parse_logql
from stakewatch.grafana.opening import typed_in
from stakewatch.grafana.queries import LogQuery
from stakewatch.grafana.setting import Setting, setting_of
from stakewatch.grafana.text_panels import Logs
from stakewatch.grafana.variables import LOGS

ROOT = Path(__file__).parents[3]
STREAM = '{cluster=~".*"}'


@pytest.mark.parametrize(
    "query",
    [
        STREAM,
        '{cluster="a", level=~"error|warn",} # the worst',
        f'{STREAM} |= "slashable" or "doppelganger" != `debug` |~ "(?i)err" !~ "x"',
        f'{STREAM} | json | logfmt --strict --keep-empty a="b.c", d | regexp "(?P<a>.)"',
        f"{STREAM} | unpack | decolorize",
        f'{STREAM} | slot >= 5 and (peers < 3 or peers > 500), pubkey="0x" | took > 1.5s',
        f'{STREAM} | address = ip("10.0.0.0/8")',
        f'{STREAM} | line_format "{{{{.level}}}}" | label_format a=b, c="{{{{.d}}}}" | drop a, b | keep c',
        f"sum by (level) (count_over_time({STREAM}[5m]))",
        f"sum(rate({STREAM} | level=`x` [1h30m] offset 5m)) by (instance) / 2 > bool 0",
        f"topk(5, sum without (a) (bytes_rate({STREAM}[1m]))) or vector(0)",
        f"quantile_over_time(0.95, {STREAM} | unwrap duration(took) [5m]) by (instance)",
        f"(sum(rate({STREAM}[1m]))) * on (cluster) group_left (a) sum(rate({STREAM}[1m]))",
        f"sum(rate({STREAM}[1m])) unless sum(rate({STREAM}[1m]))",
        f'label_replace(rate({STREAM}[1m]), "a", "$1", "b", "(.+)")',
        f"-1 + avg(sum_over_time(({STREAM} | unwrap peers)[5m]))",
    ],
)
def test_what_loki_takes_is_taken(query: str) -> None:
    assert parse_logql(query)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "the end at character 1, where a stream selector"),
        ("1 + 2", "it selects no stream"),
        ("{cluster}", "} at character 9, where one of ="),
        ('{cluster="a"', "the end at character 13, where , should be"),
        ('{cluster="a}', "unexpected"),
        ('{cluster="a"} | ', "where a stage or a label"),
        ('{cluster="a"} |= slot', "where a string"),
        ('{cluster="a"} | slot', "where a comparison"),
        ('{cluster="a"} | slot = slot', "where a string or a number"),
        ('{cluster="a"} | (slot = 1', "where ) should be"),
        ('rate({cluster="a"})', "where [ should be"),
        ('rate({cluster="a"}[5 m])', "5 at character 20 is no duration"),
        ('rate({cluster="a"}[5m]', "where ) should be"),
        ('rates({cluster="a"}[5m])', "rates at character 1, where a stream selector"),
        ('sum by level (rate({cluster="a"}[5m]))', "where ( should be"),
        ('topk(rate({cluster="a"}[5m]))', "where a number"),
        ('{cluster="a"} {cluster="b"}', "where the end should be"),
        ('{cluster="a"} | json | line_format', "where a string"),
        ('{cluster="a"} ; drop', "unexpected ';"),
    ],
)
def test_what_a_person_mistypes_is_told_with_its_place(query: str, said: str) -> None:
    with pytest.raises(LogqlError) as caught:
        parse_logql(query)
    assert said in str(caught.value)


def test_the_rules_of_lokis_ruler_are_read() -> None:
    files = sorted((ROOT / "loki" / "rules").glob("*.yaml"))
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in files]
    expressions = [rule["expr"] for one in documents for group in one["groups"] for rule in group["rules"]]
    assert expressions
    assert all(parse_logql(expression) for expression in expressions)


def test_the_labels_of_streams_are_those_of_the_pipelines() -> None:
    pipelines = yaml.safe_load((ROOT / "loki" / "pipelines.yaml").read_text(encoding="utf-8"))
    assert set(pipelines["labels"]) == STREAM_LABELS


def test_fields_that_the_board_filters_by_are_those_of_the_pipelines(bundle: Bundle) -> None:
    pipelines = yaml.safe_load((ROOT / "loki" / "pipelines.yaml").read_text(encoding="utf-8"))
    board = generated(load_board(bundle.dashboards / "logs.py"), setting_of(bundle, Configuration()))
    values = {**BUILT_IN, **typed_in(board)}
    filtered = {
        field
        for panel in panels(board)
        for expression in panel.log_expressions
        for selector in parse_logql(fill(expression, values))
        for field in selector.filtered
    }
    assert filtered <= {*pipelines["fields"], "error_class"}
    assert {"slot", "pubkey", "error_class"} <= filtered


def test_selectors_name_their_labels_and_the_fields_they_filter_by() -> None:
    query = (
        f'sum(rate({STREAM} | slot > 5 | json | error="a" [5m])) / sum(rate({{level="info",role!=""}}[5m]))'
    )
    assert parse_logql(query) == (
        LogSelector(("cluster",), ("slot", "error")),
        LogSelector(("level", "role"), ()),
    )


@pytest.mark.parametrize(
    ("query", "rules"),
    [
        ('{cluster=~"$cluster",level="error"} |= "x"', []),
        (
            'rate({cluster=~"$cluster"}[$__auto]) / rate({cluster=~"$cluster"} | slot > 0 [$__auto])',
            [],
        ),
        ('{cluster=~"$cluster"', ["target-logql"]),
        ('{level="error"}', ["target-cluster"]),
        ('sum(rate({cluster=~"$cluster"}[$__auto])) / sum(rate({role=""}[$__auto]))', ["target-cluster"]),
        ('{cluster=~"$cluster",pod="a"}', ["target-logql"]),
        ('{cluster=~"$cluster"} | level="error"', ["target-logql"]),
    ],
)
def test_boards_ask_only_for_labels_that_streams_have(
    board_of: Callable[..., Board], setting: Setting, query: str, rules: list[str]
) -> None:
    board = board_of(Logs(title="Lines", description="Normal: few.", queries=(LogQuery(query),)))
    content: dict[str, Any] = replace(board, variables=(board.variables[0], LOGS)).generate(setting)
    assert [flaw.rule for flaw in lint_log_queries(content)] == rules
