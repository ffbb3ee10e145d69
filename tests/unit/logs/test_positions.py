"""rewind.sh: positions files of Promtail and Alloy, set back to where a line begins."""

import json
import os
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from stakewatch.logs.collection import BATCH_BYTES
from stakewatch.logs.positions import REWIND, rewinding

BYTES = 1000
CURSOR = "s=b4ad;i=3;b=1f;m=1;t=5f;x=1"


def cri(text: str, tag: str = "F", zone: str = "Z") -> str:
    return f"2026-11-21T22:11:26.123456789{zone} stderr {tag} {text}\n"


def docker(text: str) -> str:
    content = {"log": f"{text}\n", "stream": "stdout", "attrs": {"a": "b"}, "time": "2026-11-21T22:11:26.1Z"}
    return f"{json.dumps(content, separators=(',', ':'))}\n"


def lines_of(count: int) -> str:
    return "".join(cri(f"line {number} é {'x' * (number % 40)}") for number in range(count))


def log_of(folder: Path, content: str | bytes, name: str = "0.log") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def noted(folder: Path, positions: Mapping[str, int | str]) -> Path:
    path = folder / "positions.yaml"
    content = {"positions": {name: str(position) for name, position in positions.items()}}
    path.write_text(yaml.safe_dump(content, default_style=None, width=10_000), encoding="utf-8")
    # As Go prints it: numbers in double quotes.
    path.write_text(
        path.read_text(encoding="utf-8").replace(": '", ': "').replace("'\n", '"\n'), encoding="utf-8"
    )
    return path


def rewind(*arguments: str | Path, size: int = BYTES) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", REWIND, *arguments],
        env={"PATH": os.environ["PATH"], "REWIND_BYTES": str(size)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )


def position_of(positions: Path, path: Path) -> int:
    return int(yaml.safe_load(positions.read_text(encoding="utf-8"))["positions"][str(path)])


def after(folder: Path, content: str | bytes, position: int) -> int:
    """Return the new position of a log with this content."""
    log = log_of(folder, content)
    positions = noted(folder, {str(log): position})
    rewind(positions)
    return position_of(positions, log)


def test_a_position_goes_back_to_where_a_line_begins(tmp_path: Path) -> None:
    content = lines_of(100).encode()
    position = after(tmp_path, content, len(content))
    assert len(content) - BYTES < position < len(content) - BYTES + 300
    assert content[position - 1 : position] == b"\n"
    assert content[position:].startswith(b"2026-")


def test_a_position_amid_a_line_goes_back_too(tmp_path: Path) -> None:
    content = lines_of(100).encode()
    position = after(tmp_path, content, len(content) - 7)
    assert position < len(content) - BYTES + 300
    assert content[position - 1 : position] == b"\n"


def test_a_position_near_the_beginning_goes_back_to_the_beginning(tmp_path: Path) -> None:
    assert after(tmp_path, lines_of(100), BYTES - 1) == 0
    assert after(tmp_path, lines_of(100), BYTES) == 0


def test_it_goes_back_by_twice_a_batch_unless_told_otherwise(tmp_path: Path) -> None:
    content = lines_of(3 * BATCH_BYTES // 60)
    log = log_of(tmp_path, content)
    positions = noted(tmp_path, {str(log): len(content.encode())})
    subprocess.run(["/bin/sh", REWIND, positions], check=True, timeout=30)
    back = len(content.encode()) - position_of(positions, log)
    assert 2 * BATCH_BYTES - 300 < back <= 2 * BATCH_BYTES


def test_the_parts_of_a_line_that_a_runtime_cut_stay_together(tmp_path: Path) -> None:
    whole = [cri("a" * 300), cri("b" * 300, "P"), cri("c" * 300, "P"), cri("d" * 300), cri("e" * 300)]
    content = "".join(whole)
    # What it goes back to is amid the first line, so that the next to begin is a part.
    position = after(tmp_path, content, len(content))
    assert len(content) - BYTES < len("".join(whole[:3]))
    assert position == len("".join(whole[:4]))


@pytest.mark.parametrize("zone", ["Z", "+01:00", "-08:00"])
def test_a_runtime_may_write_any_zone(zone: str, tmp_path: Path) -> None:
    content = "".join(cri(f"{number}", zone=zone) for number in range(100))
    assert after(tmp_path, content, len(content)) < len(content)


def test_dockers_json_is_read_again(tmp_path: Path) -> None:
    content = "".join(docker(f'{number} "time":"é\\n') for number in range(100)).encode()
    position = after(tmp_path, content, len(content))
    assert len(content) - BYTES < position < len(content)
    assert content[position:].startswith(b'{"log":')


@pytest.mark.parametrize(
    "line",
    [
        "Nov 21 22:11:26.123 INFO Synced\n",
        '{"t":"2026-11-21T22:11:26.123Z","lvl":"info","msg":"Imported"}\n',
        '{"log":"INFO","slot":3}\n',
        "2026-11-21T22:11:26.123Z INFO reth: stderr F\n",
        "\n",
    ],
    ids=["text", "json", "json with a log", "year and zone", "empty"],
)
def test_a_file_that_no_runtime_wrote_is_not_read_again(line: str, tmp_path: Path) -> None:
    content = line * 2000
    position = len(content)
    assert after(tmp_path, content, position) == position


def test_a_file_that_was_made_anew_keeps_its_position(tmp_path: Path) -> None:
    content = lines_of(100)
    beyond = len(content.encode()) + 1
    assert after(tmp_path, content, beyond) == beyond


def test_binary_garbage_amid_lines_does_not_shift_where_a_line_begins(tmp_path: Path) -> None:
    content = lines_of(50).encode() + cri("x").encode()[:-1] + bytes(range(1, 10)) * 9 + b"\0\0\xff\xfe\n"
    content += lines_of(8).encode()
    position = after(tmp_path, content, len(content))
    assert 0 < position < len(content)
    assert content[position - 1 : position] == b"\n"


def test_one_line_without_an_end_keeps_its_position(tmp_path: Path) -> None:
    content = cri("x" * 5000)
    assert after(tmp_path, content, len(content)) == len(content)


def test_a_file_that_is_gone_a_folder_and_a_cursor_stay_as_they_are(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines_of(100))
    folder = tmp_path / "folder"
    folder.mkdir()
    content: dict[str, int | str] = {
        str(tmp_path / "gone.log"): 77,
        str(folder): 5,
        "cursor-journal": CURSOR,
        str(log): BYTES,
    }
    positions = noted(tmp_path, content)
    rewind(positions)
    found = yaml.safe_load(positions.read_text(encoding="utf-8"))["positions"]
    assert found == {**{name: str(one) for name, one in content.items()}, str(log): "0"}


def test_paths_are_read_in_all_ways_in_which_promtail_writes_them(tmp_path: Path) -> None:
    names = [
        "plain.log",
        "with space.log",
        "a: b #c.log",
        "it's.log",
        "$(touch hacked)`id`.log",
        f"{'n' * 140}.log",
    ]
    logs = {name: log_of(tmp_path, lines_of(100), name) for name in names}
    text = f"""\
positions:
  {logs["plain.log"]}: "500"
  {logs["with space.log"]}: "500"
  '{logs["a: b #c.log"]}': "500"
  '{str(logs["it's.log"]).replace("'", "''")}': "500"
  {logs["$(touch hacked)`id`.log"]}: "500"
  ? {logs[f"{'n' * 140}.log"]}
  : "500"
"""
    positions = tmp_path / "positions.yaml"
    positions.write_text(text, encoding="utf-8")
    rewind(positions)
    found = yaml.safe_load(positions.read_text(encoding="utf-8"))["positions"]
    assert found == {str(path): "0" for path in logs.values()}
    assert not list(tmp_path.rglob("hacked"))


def test_alloys_positions_are_of_a_path_and_labels(tmp_path: Path) -> None:
    # The keys are objects, as gopkg.in/yaml.v2 prints them.
    log, other = log_of(tmp_path, lines_of(100)), log_of(tmp_path, "no runtime\n" * 100, "other.log")
    text = f"""\
positions:
  ? path: {log}
    labels: '{{implementation="geth", instance="x-1",
      level="info"}}'
  : "500"
  ? path: {other}
    labels: '{{}}'
  : "600"
  ? path: cursor-loki.source.journal.journal
    labels: ""
  : {CURSOR}
"""
    positions = tmp_path / "positions.yml"
    positions.write_text(text, encoding="utf-8")
    rewind(positions)
    assert positions.read_text(encoding="utf-8") == text.replace('"500"', '"0"')


def test_it_does_not_go_back_further_while_the_shipper_notes_nothing_new(tmp_path: Path) -> None:
    content = lines_of(200)
    log = log_of(tmp_path, content)
    positions = noted(tmp_path, {str(log): len(content.encode())})
    rewind(positions)
    first = position_of(positions, log)
    rewind(positions)
    assert position_of(positions, log) == first
    noted(tmp_path, {str(log): first + 1})
    rewind(positions)
    assert position_of(positions, log) < first


def test_positions_stay_as_private_as_the_shipper_keeps_them(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines_of(100))
    positions = noted(tmp_path, {str(log): 500})
    rewind(positions)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("positions*")}
    assert modes == {"positions.yaml": 0o600, "positions.yaml.rewound": 0o600}


def test_the_shipper_takes_its_place_when_all_files_are_set_back(tmp_path: Path) -> None:
    log = log_of(tmp_path, lines_of(100))
    positions = noted(tmp_path, {str(log): 500})
    command = rewinding(str(REWIND), [str(tmp_path / "none.yml"), str(positions)], "/bin/sh")
    run = subprocess.run(
        [*command, "-c", 'echo "$$ $*"', "x", "-config.file=a b"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert run.stdout.split(maxsplit=1)[1] == "-config.file=a b\n"
    assert run.stderr == ""
    assert position_of(positions, log) == 0


def test_the_shipper_starts_where_it_stopped_when_nothing_can_be_written_beside_its_positions(
    tmp_path: Path,
) -> None:
    log = log_of(tmp_path, lines_of(100))
    positions = noted(tmp_path, {str(log): 500})
    (tmp_path / "positions.yaml.partial").mkdir()
    run = rewind(positions, "--", "echo", "started")
    assert run.stdout == "started\n"
    assert "positions.yaml stays as it is" in run.stderr
    assert position_of(positions, log) == 500


@pytest.mark.parametrize("content", ["", "positions: {}\n", "not: [yaml\n", '  /a: "x"\n', '  : "5"\n'])
def test_a_positions_file_without_a_file_in_it_stays_as_it_is(content: str, tmp_path: Path) -> None:
    positions = tmp_path / "positions.yaml"
    positions.write_text(content, encoding="utf-8")
    assert rewind(positions).stderr == ""
    assert positions.read_text(encoding="utf-8") == content
