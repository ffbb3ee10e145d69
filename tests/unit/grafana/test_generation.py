"""Boards are loaded by path and generated the same each time; a broken module is told with its line."""

from pathlib import Path

import pytest

from stakewatch.bundle.configuration import Configuration, Override, Urls
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.generated import write
from stakewatch.errors import InputError
from stakewatch.grafana.generation import (
    compare,
    generate,
    load_board,
    load_boards,
    text_of,
)
from stakewatch.grafana.setting import setting_of

MINIMAL = """\
from stakewatch.grafana.board import Board
dashboard = Board(
    uid="small", title="Small", description="Small.", variables=(), rows=(), firing="ALERTS",
)
"""


def module(folder: Path, text: str) -> Path:
    path = folder / "small.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\ndashboard = (\n", 2, "this is not Python"),
        ("x = 1\n\nraise ValueError('no')\n", 3, "the module fails: ValueError: no"),
        ("import sys\nsys.exit(0)\n", 2, "the module fails: SystemExit: 0"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError"),
        ("import nothing_of_this_name\n", 1, "ModuleNotFoundError"),
        ("x = 1\n", 1, "defines no name `dashboard`"),
        ("dashboard = {}\n", 1, "defines `dashboard` as dict"),
        ("from stakewatch.errors import InputError\nraise InputError('odd', mend='even')\n", 2, "odd"),
        ("", 1, "defines no name `dashboard`"),
        ("import sys\nsys.setrecursionlimit(60)\ndef f(): f()\nf()\n", 3, "RecursionError"),
    ],
)
def test_a_broken_module_is_told_with_file_and_line(
    tmp_path: Path, text: str, line: int, message: str
) -> None:
    import sys  # noqa: PLC0415 - put back what one of the modules changes

    limit = sys.getrecursionlimit()
    path = module(tmp_path, text)
    try:
        with pytest.raises(InputError, match=message) as caught:
            load_board(path)
    finally:
        sys.setrecursionlimit(limit)
    assert caught.value.where == f"{path}:{line}"
    assert caught.value.exit_code == 2


def test_loading_leaves_no_bytecode_beside_the_boards(tmp_path: Path) -> None:
    load_board(module(tmp_path, MINIMAL))
    assert [path.name for path in tmp_path.iterdir()] == ["small.py"]


def test_an_empty_folder_has_no_boards(tmp_path: Path) -> None:
    assert load_boards(Bundle(tmp_path)) == ()


def test_the_same_board_is_the_same_text(bundle: Bundle) -> None:
    setting = setting_of(bundle, Configuration())
    assert generate(load_boards(bundle), setting) == generate(load_boards(bundle), setting)
    assert text_of({"b": 1, "a": "ü"}) == '{\n  "a": "ü",\n  "b": 1\n}\n'


def test_a_name_of_an_alert_that_is_gone_is_told_with_the_module(bundle: Bundle) -> None:
    (bundle.rules / "kubernetes.yaml").write_text("groups: []\n", encoding="utf-8")
    board = load_board(bundle.dashboards / "geth_node.py")
    with pytest.raises(InputError, match="no rule file has the alert PodCrashLooping") as caught:
        generate((board,), setting_of(bundle, Configuration()))
    path, _, line = (caught.value.where or "").rpartition(":")
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    assert 'title="Restarts of the container"' in lines[int(line) - 1]


def test_the_users_thresholds_and_addresses_are_in_the_boards(bundle: Bundle) -> None:
    configuration = Configuration(
        overrides={"ExecutionPeersLow": Override(threshold=3)},
        urls=Urls(runbooks="https://wiki.example/alerts"),
    )
    files = generate(load_boards(bundle), setting_of(bundle, configuration))
    text = files["geth_node.json"]
    assert "https://wiki.example/alerts/ExecutionPeersLow" in text
    assert not any("stakewatch.example" in one for one in files.values())
    assert '"value": 3.0' in text
    assert '"value": 10.0' not in text


def test_only_what_differs_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "json"
    assert write({"a.json": "1", "b.json": "2"}, folder) == (folder / "a.json", folder / "b.json")
    assert write({"a.json": "1", "b.json": "3"}, folder) == (folder / "b.json",)
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "b.json"]


def test_missing_changed_and_left_over_files_are_differences(tmp_path: Path) -> None:
    write({"same.json": "1", "changed.json": "1", "left.json": "1"}, tmp_path)
    (tmp_path / "notes.txt").write_text("not ours", encoding="utf-8")
    found = [
        (one.path.name, one.what)
        for one in compare({"same.json": "1", "changed.json": "2", "missing.json": "1"}, tmp_path)
    ]
    assert found == [
        ("changed.json", "is not what its module makes"),
        ("missing.json", "is missing"),
        ("left.json", "is made by no module"),
    ]


def test_a_panels_line_is_where_its_title_stands(tmp_path: Path) -> None:
    source = load_board(module(tmp_path, MINIMAL))
    assert source.line_of("Small") == 3
    assert source.line_of("made up") == 1
