"""A preview from board to page, on a Prometheus that a test plays."""

import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue import load_catalogue
from stakewatch.errors import InputError
from stakewatch.grafana.board import Board
from stakewatch.grafana.layout import row
from stakewatch.grafana.panels import BarGauge, Gauge, Heatmap, Panel, Stat, StateTimeline, Timeseries
from stakewatch.grafana.preview.allowed import Allowance, allowances_of
from stakewatch.grafana.preview.choices import read_choices
from stakewatch.grafana.preview.explaining import Explainer, Why
from stakewatch.grafana.preview.page import Preview, write_pages
from stakewatch.grafana.preview.results import Sources
from stakewatch.grafana.preview.run import Wish, boards_of, choose_boards, not_allowed, outdated, preview
from stakewatch.grafana.queries import LogQuery, Query
from stakewatch.grafana.remote import connect
from stakewatch.grafana.setting import Setting
from stakewatch.grafana.tables import Table
from stakewatch.grafana.text_panels import Logs, Text

from .serving import matrix, serving, vector

ROOT = Path(__file__).parents[3]
NOW = 1_700_000_060.0
HOSTILE = '"><script>alert(1)</script>'
ALL_KINDS: tuple[tuple[type[Panel], dict[str, Any]], ...] = (
    (Stat, {}),
    (Stat, {"graph": "area"}),
    (Gauge, {"minimum": 0, "maximum": 10}),
    (BarGauge, {}),
    (Timeseries, {}),
    (StateTimeline, {}),
    (Heatmap, {}),
    (Table, {"columns": {"instance": "Instance"}, "value": "Number"}),
)
Answer = Callable[[str, Mapping[str, str]], tuple[int, object]]


def answering(labels: Mapping[str, str]) -> Answer:
    """Answer every query with one series of these labels."""

    def answer(path: str, _: Mapping[str, str]) -> tuple[int, object]:
        if path.endswith("query_range"):
            return 200, matrix((labels, [(NOW - 20, 1), (NOW - 10, 2), (NOW, 3)]))
        if path.endswith("query"):
            return 200, vector((labels, 3))
        return 200, {"data": []}

    return answer


def nothing(path: str, _: Mapping[str, str]) -> tuple[int, object]:
    """Answer that there is nothing."""
    return 200, {"data": []} if "label" in path else {"data": {"groups": []}} if "rules" in path else vector()


def refusing(path: str, asked: Mapping[str, str]) -> tuple[int, object]:
    """Refuse what panels ask over time, with words that would do harm in a page."""
    return (400, {"error": HOSTILE}) if path.endswith("query_range") else nothing(path, asked)


def panel(kind: type[Panel], title: str, expression: str = "p2p_peers", **more: Any) -> Panel:  # noqa: ANN401 - fields of panels
    query = Query(f'{expression}{{role="execution",cluster=~"$cluster"}}', "{{instance}}")
    return kind(title=title, description="Normal: 50.", unit="none", queries=(query,), **more)


def previewed(
    answer: Answer,
    boards: list[dict[str, Any]],
    chosen: Mapping[str, str] | None = None,
    *,
    with_loki: bool = False,
) -> tuple[Preview, ...]:
    with serving(answer) as api:
        remote = connect(api.url)
        sources = Sources(remote, connect(api.url, who="Loki") if with_loki else None)
        explainer = Explainer(remote, load_catalogue(ROOT / "catalogue"), (), NOW)
        return preview(sources, boards, Wish(NOW, 1, 60, chosen or {}), explainer, lambda _: None)


@pytest.fixture
def every_kind(board_of: Callable[..., Board], setting: Setting) -> dict[str, Any]:
    """Return a board with a panel of each kind, and a collapsed row."""
    some = [panel(kind, f"Panel {number}", **more) for number, (kind, more) in enumerate(ALL_KINDS)]
    collapsed = row("Folded", panel(Stat, "Panel in a row"), collapsed=True)
    return board_of(*some, collapsed, row("After", panel(Stat, "Panel after it"))).generate(setting)


class _Reader(HTMLParser):
    """The texts and the tags of a page; fails where a tag is closed that is not open."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def pages(previews: tuple[Preview, ...], folder: Path) -> dict[str, _Reader]:
    write_pages(previews, folder, "a Prometheus")
    return {path.name: _Reader(path.read_text(encoding="utf-8")) for path in folder.iterdir()}


def test_every_panel_is_on_the_page_with_its_query_and_its_value(
    every_kind: dict[str, Any], tmp_path: Path
) -> None:
    page = pages(previewed(answering({"instance": "execution-1", "le": "1"}), [every_kind]), tmp_path)[
        "a_board.html"
    ]
    titles = [*(f"Panel {number}" for number in range(len(ALL_KINDS))), "Panel in a row", "Panel after it"]
    assert [title for title in titles if title not in page.text] == []
    assert page.text.count('A: p2p_peers{role="execution",cluster=~".*"}') == len(titles)
    assert page.text.count("execution-1") >= len(titles)
    assert "no data" not in page.text


def test_a_page_needs_no_other_file_and_runs_nothing(every_kind: dict[str, Any], tmp_path: Path) -> None:
    made = pages(previewed(answering({"instance": "x"}), [every_kind]), tmp_path)
    assert set(made) == {"a_board.html", "index.html"}
    for page in made.values():
        assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object"} == set()
        links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
        assert set(links) <= {"a_board.html", "index.html"}
        assert not any("url(" in str(attributes) for _, attributes in page.tags)


def test_what_a_server_says_is_text_on_the_page(every_kind: dict[str, Any], tmp_path: Path) -> None:
    page = pages(previewed(answering({"instance": HOSTILE, "le": "1"}), [every_kind]), tmp_path)[
        "a_board.html"
    ]
    assert HOSTILE in page.text
    assert all(tag != "script" for tag, _ in page.tags)
    refused = pages(previewed(refusing, [every_kind]), tmp_path)["a_board.html"]
    assert HOSTILE in refused.text
    assert all(tag != "script" for tag, _ in refused.tags)


def test_no_two_panels_of_a_page_lie_on_the_same_place(every_kind: dict[str, Any], tmp_path: Path) -> None:
    write_pages(previewed(answering({"instance": "x"}), [every_kind]), tmp_path, "a Prometheus")
    text = (tmp_path / "a_board.html").read_text(encoding="utf-8")
    for section in text.split('<div class="grid">')[1:]:
        cells: set[tuple[int, int]] = set()
        places = re.findall(r"grid-column: (\d+) / span (\d+); grid-row: (\d+) / span (\d+)", section)
        assert places
        for left, width, top, height in (tuple(map(int, place)) for place in places):
            own = {(x, y) for x in range(left, left + width) for y in range(top, top + height)}
            assert not own & cells
            assert left + width <= 25
            cells |= own


def test_a_number_alone_has_its_name_beside_it_where_the_panel_says_so(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> None:
    for named in (True, False):
        board = board_of(panel(Stat, "Source", named=named)).generate(setting)
        write_pages(previewed(answering({"instance": "alone"}), [board]), tmp_path, "a test")
        page = (tmp_path / "a_board.html").read_text(encoding="utf-8")
        assert ("<span>alone</span>" in page) == named


def test_a_panel_without_data_says_why(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> None:
    board = board_of(
        panel(Stat, "Peers"), panel(Table, "Nodes", "stakewatch_node_up", columns={"instance": "Node"})
    )
    previews = previewed(nothing, [board.generate(setting)])
    assert [one.said for reasons in previews[0].why.values() for one in reasons] == [
        "p2p_peers: no execution node is scraped",
        "stakewatch_node_up: stakewatch-exporter is not scraped",
    ]
    page = pages(previews, tmp_path)["a_board.html"]
    assert "p2p_peers: no execution node is scraped" in page.text
    assert page.text.count("no data") == 2


def test_a_query_that_is_refused_is_shown_as_that_and_the_others_go_on(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    def answer(path: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if "bad" in asked.get("query", ""):
            return 422, {"error": "query processing would load too many samples"}
        return answering({"instance": "x"})(path, asked)

    board = board_of(panel(Stat, "Bad", "bad"), panel(Stat, "Good")).generate(setting)
    (found,) = previewed(answer, [board])
    assert found.why == {
        0: (
            Why(
                "the query was refused with 422: query processing would load too many samples",
                "mend the query, or ask for less at a time",
            ),
        )
    }
    assert [result.is_empty for result in found.board.results] == [True, False]


def test_a_chosen_value_is_asked_for_and_an_unknown_variable_is_refused(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    board = board_of(panel(Stat, "Peers")).generate(setting)
    (found,) = previewed(answering({"instance": "x"}), [board], read_choices(["cluster=eu-1"], [board]))
    assert 'cluster=~"eu-1"' in found.board.results[0].answers[0].expression
    with pytest.raises(InputError, match="did you mean cluster"):
        read_choices(["clutser=eu-1"], [board])


def test_a_variable_in_a_legend_or_a_title_is_shown_as_a_reader_chose_it(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> None:
    queries = (Query('p2p_peers{cluster=~"$cluster"}', "${cluster:text} {{instance}}"),)
    one = Timeseries(title="Of $cluster", description="Normal: 50.", unit="none", queries=queries)
    board = board_of(one).generate(setting)
    page = pages(previewed(answering({"instance": "x"}), [board], {"cluster": "eu\\\\-1"}), tmp_path)
    assert "Of eu-1" in page["a_board.html"].text
    assert "eu-1 x" in page["a_board.html"].text
    everything = pages(previewed(answering({"instance": "x"}), [board]), tmp_path)
    assert "All x" in everything["a_board.html"].text


def test_queries_that_lack_the_same_thing_say_it_once(
    board_of: Callable[..., Board], setting: Setting
) -> None:
    several = tuple(
        Query(f'{name}{{cluster=~"$cluster"}}') for name in ("chain_head_block", "chain_head_header")
    )
    one = Timeseries(title="Head", description="Normal: grows.", unit="none", queries=several)
    (found,) = previewed(nothing, [board_of(one).generate(setting)])
    (why,) = found.why[0]
    assert why.said == "chain_head_block, chain_head_header: no execution node is scraped"


def test_lines_of_logs_are_shown_where_there_is_a_loki(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> None:
    query = LogQuery('{cluster=~"$cluster"} |= "error"')
    board = board_of(Logs(title="Lines", description="Normal: none.", queries=(query,))).generate(setting)
    line = [str(int(NOW) * 10**9), HOSTILE]

    def answer(path: str, asked: Mapping[str, str]) -> tuple[int, object]:
        if not path.startswith("/loki"):
            return nothing(path, asked)
        assert asked["query"] == '{cluster=~".*"} |= "error"'
        result = [{"stream": {}, "values": [line]}] if lines else []
        return 200, {"data": {"resultType": "streams", "result": result}}

    lines = True
    page = pages(previewed(answer, [board], with_loki=True), tmp_path)["a_board.html"]
    assert HOSTILE in page.text
    assert "22:14:20" in page.text
    lines = False
    (quiet,) = previewed(answer, [board], with_loki=True)
    assert quiet.why == {0: (Why("Loki has no line in this time that it asks for"),)}
    unasked = previewed(answer, [board])
    assert unasked[0].board.empty == ()
    assert "asks Loki, and none is given" in pages(unasked, tmp_path)["a_board.html"].text


def test_a_board_is_chosen_by_its_uid(board_of: Callable[..., Board], setting: Setting) -> None:
    board = board_of(panel(Stat, "Peers")).generate(setting)
    assert choose_boards([board], ["a_board", "a_board"]) == (board,)
    assert choose_boards([board], []) == (board,)
    with pytest.raises(InputError, match="did you mean a_board"):
        choose_boards([board], ["a_borad"])


def test_a_dead_panel_is_one_that_nothing_allows(board_of: Callable[..., Board], setting: Setting) -> None:
    board = board_of(panel(Stat, "Peers"), panel(Stat, "Other")).generate(setting)
    allowances = (Allowance("a_board", "Other", "why not"),)
    empty = previewed(nothing, [board])
    assert not_allowed(empty, allowances) == (("a_board", "Peers"),)
    assert outdated(empty, allowances) == ()
    filled = previewed(answering({}), [board])
    assert not_allowed(filled, allowances) == ()
    assert outdated(filled, allowances) == allowances


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: 1", "this is no list"),
        ("- board: a_board", "an entry has other fields"),
        ("- {board: a_board, panels: [Peers], reason: ''}", "an entry needs panels and a reason"),
        ("- {board: a_board, panels: [], reason: x}", "an entry needs panels and a reason"),
        ("- {board: a_board, panels: 5, reason: x}", "an entry needs panels and a reason"),
        ("- {board: a_board, panels: Peers, reason: x}", "an entry needs panels and a reason"),
        ("- {board: a_borad, panels: [Peers], reason: x}", "did you mean a_board"),
        ("- {board: a_board, panels: [Pears], reason: x}", "did you mean Peers"),
        ("- {board: a_board, panels: [5], reason: x}", "has no panel"),
        ("- {board: [1], panels: [Peers], reason: x}", "there is no board"),
        ("- {board: [", "not valid YAML"),
    ],
)
def test_a_wrong_list_of_panels_that_may_be_empty_is_an_error_with_its_line(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "empty.yaml").write_text(text)
    board = board_of(panel(Stat, "Peers")).generate(setting)
    with pytest.raises(InputError) as error:
        allowances_of(Bundle(tmp_path), [board])
    assert message in str(error.value)
    assert str(error.value).startswith(f"{tmp_path}/dashboards/empty.yaml:")


def test_panels_that_may_be_empty_are_listed_with_their_reason(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> None:
    board = board_of(panel(Stat, "Peers"), panel(Stat, "Other")).generate(setting)
    (tmp_path / "dashboards").mkdir()
    assert allowances_of(Bundle(tmp_path), [board]) == ()
    (tmp_path / "dashboards" / "empty.yaml").write_text(
        "- {board: a_board, panels: [Peers, Other], reason: x}\n"
    )
    assert allowances_of(Bundle(tmp_path), [board]) == (
        Allowance("a_board", "Peers", "x"),
        Allowance("a_board", "Other", "x"),
    )


def test_all_panels_of_a_board_that_ask_for_something_may_be_empty_by_one_word(
    board_of: Callable[..., Board], setting: Setting, tmp_path: Path
) -> None:
    text = Text(title="Words", description="Words.", content="words")
    board = board_of(panel(Stat, "Peers"), text, panel(Stat, "Other")).generate(setting)
    (tmp_path / "dashboards").mkdir()
    (tmp_path / "dashboards" / "empty.yaml").write_text("- {board: a_board, panels: all, reason: x}\n")
    allowances = allowances_of(Bundle(tmp_path), [board])
    assert [allowance.panel for allowance in allowances] == ["Peers", "Other"]
    assert outdated(previewed(nothing, [board]), allowances) == ()
    assert outdated(previewed(answering({}), [board]), allowances) == allowances


def test_our_own_list_names_panels_that_there_are() -> None:
    bundle = Bundle(ROOT)
    assert allowances_of(bundle, boards_of(bundle, Configuration()))
