"""What stages make of lines, the broken ones too: a line is never lost and never stops anything."""

import json
import random
import time
from collections.abc import Callable

import pytest

from stakewatch.logs.interpretation import Entry, interpret, time_ns
from stakewatch.logs.stages import (
    Docker,
    Fixed,
    Hexadecimal,
    Json,
    LabelMatcher,
    Labels,
    LabelsKept,
    LineFilter,
    Match,
    Regex,
    Replace,
    Selector,
    StructuredMetadata,
    Timestamp,
    WithoutSeparators,
    Words,
    template,
)

Read = Callable[..., Entry]
NUMBER = StructuredMetadata(("number",))
GETH_JSON = (
    '{"t":"2026-11-21T11:37:57.038338915Z","lvl":"error","msg":"Imported new potential chain segment",'
    '"number":"176","hash":"0x55b1ede654759888957ae024bd12b00c2157bd9d0c684452cd87815a13bef7dc"}'
)


def entry(line: str, **labels: str) -> Entry:
    return Entry(line, {"instance": "node-1", **labels})


@pytest.mark.parametrize("at", range(0, len(GETH_JSON), 7))
def test_json_that_is_cut_off_is_kept_and_keeps_its_level(at: int, read: Read) -> None:
    found = read(GETH_JSON[:at])
    assert found.line == GETH_JSON[:at]
    assert found.labels.get("level") == ("error" if at > GETH_JSON.index('error"') + 5 else None)
    assert found.metadata == {}


@pytest.mark.parametrize(
    "implementation",
    [
        *(
            "geth",
            "erigon",
            "nethermind",
            "besu",
            "reth",
            "lighthouse",
            "prysm",
            "teku",
            "lodestar",
            "nimbus",
        ),
        *("web3signer", "mev-boost", "haproxy", "kubelet", "kernel", "kubernetes-audit", "unknown"),
    ],
)
def test_no_line_is_lost_whatever_it_is(implementation: str, read: Read) -> None:
    rest = random.Random(7)  # noqa: S311 - no secret
    binary = [bytes(rest.randrange(256) for _ in range(200)) for _ in range(20)]
    lines = [
        "",
        " ",
        "\r",
        "{",
        "{}",
        "[]",
        "null",
        '{"level":null,"slot":null,"lvl":{}}',
        '{"level":["error"],"slot":{"a":1},"lvl":7}',
        '{"slot":1e400,"number":1e30}',
        '{"slot":' + "9" * 5000 + "}",
        '{"a":' * 3000,
        "\x00\x01\x02",
        "\x1b[",
        "\x1b[31",
        *(one.replace(b"\n", b"").decode("utf-8", "surrogateescape") for one in binary),
        "INFO [11-21|11:34:47.113] é ".encode("latin-1").decode("utf-8", "surrogateescape"),
        GETH_JSON.encode("utf-16").replace(b"\n", b"").decode("utf-8", "surrogateescape"),
    ]
    for line in lines:
        found = read(line, implementation)
        assert "\x1b" in line or found.line == line
        assert all(value.isascii() and len(value) <= 250 for value in found.metadata.values())


def test_a_line_in_another_encoding_keeps_its_bytes_and_its_level(read: Read) -> None:
    raw = "WARN [11-21|11:34:47.113] Größe                   number=86".encode("latin-1")
    found = read(raw.decode("utf-8", "surrogateescape"))
    assert found.line.encode("utf-8", "surrogateescape") == raw
    assert found.labels["level"] == "warn"
    assert found.metadata == {"block_number": "86"}


def test_text_is_read_as_text_where_json_is_expected_and_the_other_way_round(read: Read) -> None:
    text = read("INFO [11-21|11:34:47.113] Chain head was updated number=86", "geth")
    assert text.metadata == {"block_number": "86"}
    assert read(GETH_JSON, "geth").metadata == {"block_number": "176"}
    # A program that has only text, and one that has only JSON.
    assert read('{"level":"error","slot":5}', "lodestar").line == '{"level":"error","slot":5}'
    assert read("plain words", "kubernetes-audit").line == "plain words"


@pytest.mark.parametrize("implementation", ["geth", "haproxy"])
@pytest.mark.parametrize(
    "line",
    [
        "a" * 1_000_000,
        "word " * 200_000,
        '{"msg":"' + "x" * 1_000_000 + '"}',
        '{"msg":"' + "x" * 1_000_000,
    ],
    ids=["letters", "words", "json", "json cut off"],
)
def test_a_line_of_a_megabyte_is_kept(implementation: str, line: str, read: Read) -> None:
    started = time.monotonic()
    assert read(line, implementation).line in (line, "<masked> " * (200_000 // 24) + "word " * (200_000 % 24))
    assert time.monotonic() - started < 10


def test_values_are_numbers_and_keys_and_never_objects(read: Read) -> None:
    line = json.dumps({"level": "INFO", "slot": {"a": 1}, "epoch": [1], "peers": True, "public_key": "none"})
    assert read(line, "lighthouse").metadata == {}
    line = json.dumps({"level": "INFO", "slot": 12345678901, "epoch": "7", "peers": 1.5})
    assert read(line, "lighthouse").metadata == {"slot": "12345678901", "epoch": "7"}


def test_the_last_of_two_equal_keys_counts(read: Read) -> None:
    assert read('{"lvl":"info","number":1,"number":2}').metadata == {"block_number": "2"}


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("\x1b[32minfo\x1b[39m: x", "info: x"),
        ("\x1b[1;31merror\x1b[0m", "error"),
        ("\x1b[38;5;208mwarn\x1b[m", "warn"),
        ("info\x1b[39", "info"),
        ("info\x1b[", "info\x1b["),
        ("\x1b]0;title\x07x", "x"),
    ],
)
def test_colours_go_and_what_is_left_of_one_too(line: str, left: str, read: Read) -> None:
    assert read(line).line == left


def test_json_with_a_control_character_is_none(read: Read) -> None:
    found = read('{"lvl":"warn","msg":"a\tb","number":"5"}')
    assert found.labels["level"] == "warn"
    assert found.metadata == {}


def test_a_level_that_nobody_knows_is_no_label(read: Read) -> None:
    assert "level" not in read('{"lvl":"loudly"}').labels
    assert "level" not in read("LOUD [11-21|11:34:47.113] x").labels


@pytest.mark.parametrize(
    "crash",
    [
        "panic: runtime error: index out of range [1] with length 1",
        "fatal error: all goroutines are asleep - deadlock!",
        "SIGSEGV: segmentation violation",
        "thread 'tokio-runtime-worker' (123) panicked at src/main.rs:1:2:",
        "Unhandled exception. System.OutOfMemoryException: x",
        "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
        "Error: unhandled exception: index 1 not in 0 .. 0 [IndexDefect]",
    ],
)
def test_the_last_words_of_a_program_are_fatal_in_json_mode_too(crash: str, read: Read) -> None:
    assert read(crash, "lighthouse").labels["level"] == "fatal"


def test_a_crash_that_is_told_of_is_none(read: Read) -> None:
    assert "level" not in read("goroutine 1: panic: was recovered").labels


def test_the_only_labels_are_the_few(read: Read) -> None:
    found = read(
        "INFO [11-21|11:34:47.113] x", "geth", cluster="c", filename="/var/log/geth.log", pod="p", job="j"
    )
    assert set(found.labels) == {"cluster", "implementation", "instance", "level"}
    assert found.metadata == {"pod": "p"}


def test_lines_with_a_new_key_make_no_new_stream(read: Read) -> None:
    streams = {
        tuple(sorted(read(f'time="x" level=info msg="m" pubKey=0x{number:096x}', "prysm").labels.items()))
        for number in range(1, 200)
    }
    assert len(streams) == 1


def test_what_a_container_runtime_wrote_counts_and_the_programs_own_time_does_not(read: Read) -> None:
    wrapped = f"2026-11-21T11:38:00.000000005Z stdout F {GETH_JSON}"
    assert read(wrapped, "geth", runtime="cri").time_ns == time_ns("2026-11-21T11:38:00.000000005Z")
    assert read(GETH_JSON, "geth", runtime="cri").time_ns is None
    assert read(GETH_JSON, "geth").time_ns == time_ns("2026-11-21T11:37:57.038338915Z")


@pytest.mark.parametrize(
    "written",
    [
        "11-21|11:34:47.113",
        "May 11 20:06:13.051",
        "2023-04-25 20:23:45",
        "20:06:13.051",
        "2026-11-21T11:37:57",
    ],
)
def test_a_time_without_year_or_zone_is_none(written: str) -> None:
    assert time_ns(written) is None


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:01.5+01:00", 1_500_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01 00:00:00.001Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-01-01T25:00:00Z", None),
    ],
)
def test_a_time_is_read_to_the_nanosecond(written: str, nanoseconds: int | None) -> None:
    assert time_ns(written) == nanoseconds


@pytest.mark.parametrize(
    ("written", "nanoseconds"),
    [
        ("1970-01-01 01:00:00.001+01:00", 10**6),
        ("1970-01-01 00:00:00.001Z", 10**6),
        ("1970-01-01 00:00:00Z", None),
        ("1970-01-01 00:00:00.0001Z", None),
        ("1970-01-01T00:00:00.001Z", None),
        ("1970-01-01 00:00:00.001", None),
    ],
)
def test_a_time_is_read_in_its_layout_only_as_go_reads_it(written: str, nanoseconds: int | None) -> None:
    assert time_ns(written, "2006-01-02 15:04:05.000Z07:00") == nanoseconds


def test_each_group_is_replaced_everywhere_and_nothing_else() -> None:
    stage = Replace(r"a=(\d+)|b=(\d+)", "X")
    assert interpret([stage], entry("a=1 b=22 a=333 c=4")).line == "a=X b=X a=X c=4"
    assert interpret([Replace(r"(\n)$", "")], entry("line\n")).line == "line"


def test_a_nested_pipeline_begins_with_the_labels_again() -> None:
    where = Selector((LabelMatcher("instance", "=", "node-1"),))
    stages = (Fixed("instance", "changed"), Match(where, (StructuredMetadata(("instance",)),)))
    assert interpret(stages, entry("x")).metadata == {"instance": "node-1"}


@pytest.mark.parametrize(
    ("operator", "value", "takes"),
    [
        ("=", "node-1", True),
        ("=", "node", False),
        ("!=", "other", True),
        ("=~", "node-.", True),
        ("=~", "node", False),
        ("!~", "node-.", False),
        ("!~", "other", True),
    ],
)
def test_a_matcher_matches_the_whole_label(operator: str, value: str, takes: bool) -> None:  # noqa: FBT001
    selector = Selector((LabelMatcher("instance", operator, value),))  # type: ignore[arg-type] # parametrised
    stages = (Match(selector, (Fixed("found", "yes"), StructuredMetadata(("found",)))),)
    assert bool(interpret(stages, entry("x")).metadata) is takes


def test_a_label_that_is_not_there_is_empty_and_a_filter_searches_the_line() -> None:
    selector = Selector((LabelMatcher("runtime", "=", ""),), LineFilter("!~", "b+"))
    stages = (Match(selector, (Fixed("found", "yes"), StructuredMetadata(("found",)))),)
    assert interpret(stages, entry("a")).metadata == {"found": "yes"}
    assert interpret(stages, entry("abb")).metadata == {}
    assert interpret(stages, entry("a", runtime="cri")).metadata == {}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", "1"),
        ("b.c", "two"),
        ("missing || b.c", "two"),
        ("empty || a", "1"),
        ("zero || a", "0"),
        ('"x-y"', "3"),
        ('b."z z"', "4"),
        ("b.c.d", None),
        ("missing", None),
    ],
)
def test_a_path_finds_what_jmespath_finds(path: str, value: str | None) -> None:
    line = '{"a":1,"zero":0,"empty":"","x-y":3,"b":{"c":"two","z z":4}}'
    found = interpret([Json({"number": path}), NUMBER], entry(line)).metadata
    assert found.get("number") == value


@pytest.mark.parametrize(
    ("written", "value"),
    [("1", "1"), ("1.0", "1"), ("1e3", "1000"), ("0.25", "0.25"), ("true", "true"), ('"x"', "x")],
)
def test_a_json_value_is_written_as_a_shipper_writes_it(written: str, value: str) -> None:
    found = interpret([Json({"number": "n"}), NUMBER], entry(f'{{"n":{written}}}'))
    assert found.metadata == {"number": value}


def test_values_that_are_not_there_stay_away() -> None:
    stages = (
        Words("number", {"one": ("1",)}),
        WithoutSeparators("number"),
        Hexadecimal("number"),
        Timestamp("number", "RFC3339Nano"),
        Labels(("number",)),
        Regex("(?P<number>x)", source="number"),
        NUMBER,
        LabelsKept(()),
    )
    assert interpret(stages, entry("x")) == Entry("x", {})


@pytest.mark.parametrize(
    ("line", "labels"),
    [
        ('{"log":"hello\\n","stream":"stderr","time":"2026-11-18T11:06:40.5Z"}', {"stream": "stderr"}),
        ('{"log":"hello\\n"}', {}),
        ('{"log":"hello\\n","stream":null}', {}),
    ],
)
def test_a_line_of_docker_is_unwrapped_with_the_stream_that_it_names(
    line: str, labels: dict[str, str]
) -> None:
    found = interpret([Docker()], entry(line))
    assert found.line == "hello\n"
    assert {name: value for name, value in found.labels.items() if name == "stream"} == labels


def test_a_line_that_docker_did_not_write_is_kept() -> None:
    for line in ("plain", "{", '{"stream":"stdout"}'):
        assert interpret([Docker()], entry(line)).line == line


@pytest.mark.parametrize(
    ("stage", "text"),
    [
        (Fixed("level", "fatal"), "fatal"),
        (
            WithoutSeparators("n"),
            '{{ if .Value }}{{ Replace (Replace .Value "," "" -1) "_" "" -1 }}{{ end }}',
        ),
        (Hexadecimal("n"), '{{ if .Value }}0x{{ TrimPrefix (ToLower .Value) "0x" }}{{ end }}'),
        (
            Words("n", {"warn": ("warn", "w")}),
            '{{ if .Value }}{{ $word := ToLower .Value }}{{ if eq $word "warn" "w" }}warn{{ end }}{{ end }}',
        ),
    ],
)
def test_a_change_of_a_value_is_a_template_of_go(
    stage: Fixed | WithoutSeparators | Hexadecimal | Words, text: str
) -> None:
    assert template(stage) == text
