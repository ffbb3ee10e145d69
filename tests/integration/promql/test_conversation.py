"""The helper process: restarted when it dies, ended when it hangs, gone when we are."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import locate
from stakewatch.promql.conversation import Conversation, ParserDiedError, ParserTimeoutError

HANGS = "exec sleep 60"
HANGS_READING = "while read -r line; do sleep 60; done"
DIES = "exit 3"
DIES_READING = "read -r line; exit 3"
CUT_OFF = 'read -r line; printf \'{"id": 1, "nodes": [\'; exit 0'
NONSENSE = "while read -r line; do echo nonsense; done"
WRONG_NUMBER = 'while read -r line; do echo \'{"id": 999, "nodes": []}\'; done'
NO_OBJECT = "while read -r line; do echo 1; done"
BURSTING = "yes x"
ENDLESS_LINE = "yes | tr -d '\\n'"


class Programs:
    """Chooses which program a conversation starts next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started = 0
        self.current = locate("promql").path

    def use(self, script: str) -> None:
        self.current = self._folder / "program.sh"
        self.current.write_text(f"#!/bin/sh\n{script}\n")
        self.current.chmod(self.current.stat().st_mode | stat.S_IXUSR)

    def use_parser(self) -> None:
        self.current = locate("promql").path

    def find(self) -> Path:
        self.started += 1
        return self.current


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@pytest.fixture
def conversation(programs: Programs) -> Iterator[Conversation]:
    held = Conversation(programs.find, timeout_seconds=2)
    yield held
    held.close()


def _name(answer: dict[str, object]) -> str:
    nodes = answer["nodes"]
    assert isinstance(nodes, list)
    return str(nodes[0]["name"])


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    # A zombie whose parent is gone waits for init, which a container may lack.
    return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def _ends(process_id: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not _is_alive(process_id):
            return True
        time.sleep(0.02)
    return False


def test_one_process_answers_many_questions(conversation: Conversation, programs: Programs) -> None:
    assert [_name(conversation.ask(f"metric_{number}")) for number in range(50)] == [
        f"metric_{number}" for number in range(50)
    ]
    assert programs.started == 1


def test_a_killed_helper_is_started_again(conversation: Conversation, programs: Programs) -> None:
    conversation.ask("up")
    first = conversation.process_id
    assert first is not None
    os.kill(first, signal.SIGKILL)
    assert _name(conversation.ask("up")) == "up"
    assert conversation.process_id != first
    assert programs.started == 2
    assert not _is_alive(first)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("script", [HANGS, HANGS_READING])
@pytest.mark.parametrize("expression", ["up", "x" * 1_000_000])
def test_a_helper_that_hangs_is_ended_and_the_next_question_is_answered(
    conversation: Conversation, programs: Programs, script: str, expression: str
) -> None:
    programs.use(script)
    started = time.monotonic()
    with pytest.raises(ParserTimeoutError, match="more than 2 s") as caught:
        conversation.ask(expression)
    assert time.monotonic() - started < 10
    assert conversation.process_id is None
    assert len(str(caught.value)) < 500
    programs.use_parser()
    assert _name(conversation.ask("up")) == "up"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("script", [DIES, DIES_READING, CUT_OFF, NONSENSE, WRONG_NUMBER, NO_OBJECT])
def test_a_helper_that_dies_or_speaks_nonsense_is_tried_twice(
    conversation: Conversation, programs: Programs, script: str
) -> None:
    programs.use(script)
    with pytest.raises(ParserDiedError, match="'up'"):
        conversation.ask("up")
    assert programs.started == 2
    programs.use_parser()
    assert _name(conversation.ask("up")) == "up"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("script", [BURSTING, ENDLESS_LINE])
def test_a_helper_that_does_not_stop_talking_is_not_listened_to(
    conversation: Conversation, programs: Programs, script: str
) -> None:
    programs.use(script)
    with pytest.raises((ParserDiedError, ParserTimeoutError)):
        conversation.ask("up")
    assert conversation.process_id is None


@pytest.mark.timeout(20)
def test_an_answer_without_end_is_given_up_before_it_fills_the_memory(
    conversation: Conversation, programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stakewatch.promql.conversation._MOST_ANSWER_BYTES", 1_000_000)
    programs.use(ENDLESS_LINE)
    with pytest.raises(ParserDiedError):
        conversation.ask("up")


def test_a_program_that_cannot_start_is_named(conversation: Conversation, tmp_path: Path) -> None:
    no_program = tmp_path / "no-program"
    no_program.write_text("")
    held = Conversation(lambda: no_program, timeout_seconds=2)
    with pytest.raises(StakewatchError, match="no-program does not start") as caught:
        held.ask("up")
    assert "stakewatch tools" in str(caught.value)
    assert _name(conversation.ask("up")) == "up"


@pytest.mark.timeout(60)
def test_threads_get_their_own_answers(conversation: Conversation, programs: Programs) -> None:
    names = [f"metric_{number}" for number in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(conversation.ask, names))
    assert [_name(answer) for answer in answers] == names
    assert programs.started == 1


@pytest.mark.timeout(60)
def test_an_interruption_does_not_shift_the_answers(conversation: Conversation, programs: Programs) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        programs.use("while read -r line; do sleep 1; echo late; done")
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        with pytest.raises(KeyboardInterrupt):
            conversation.ask("first")
    finally:
        signal.signal(signal.SIGALRM, before)
    programs.use_parser()
    assert _name(conversation.ask("second")) == "second"


@pytest.mark.timeout(60)
def test_closing_ends_the_helper_and_may_be_repeated(conversation: Conversation) -> None:
    conversation.ask("up")
    process_id = conversation.process_id
    assert process_id is not None
    conversation.close()
    conversation.close()
    assert not _is_alive(process_id)
    assert _name(conversation.ask("up")) == "up"


@pytest.mark.timeout(60)
def test_closing_does_not_wait_for_a_thread_in_the_middle_of_a_question(
    conversation: Conversation, programs: Programs
) -> None:
    programs.use(HANGS)
    failed = threading.Event()

    def ask() -> None:
        try:
            conversation.ask("up")
        except ParserTimeoutError:
            failed.set()

    thread = threading.Thread(target=ask)
    thread.start()
    while conversation.process_id is None:
        time.sleep(0.01)
    started = time.monotonic()
    conversation.close()
    assert time.monotonic() - started < 1.9
    thread.join()
    assert failed.is_set()


PARENT = """
import os, signal, sys, time
from stakewatch.promql import parse, parser
parse("up")
print(parser._CONVERSATION.process_id, flush=True)
{end}
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "end",
    ["", "raise SystemExit(0)", "os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "1 / 0"],
)
def test_no_helper_survives_its_parent(end: str) -> None:
    command = [sys.executable, "-W", "error", "-c", PARENT.format(end=end)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert _ends(int(ended.stdout))
    assert "ResourceWarning" not in ended.stderr


@pytest.mark.timeout(60)
def test_the_helper_is_already_ended_when_python_exits() -> None:
    script = textwrap.dedent("""
        import atexit
        atexit.register(lambda: print(parser._CONVERSATION.process_id))
        from stakewatch.promql import parse, parser
        parse("up")
        print(parser._CONVERSATION.process_id is not None)
    """)
    command = [sys.executable, "-W", "error", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("True\nNone\n", "")


@pytest.mark.timeout(60)
def test_a_forked_process_starts_its_own_helper_and_leaves_the_parents_alone() -> None:
    script = textwrap.dedent("""
        import os
        from stakewatch.promql import parse, parser
        parse("before")
        mine = parser._CONVERSATION.process_id
        with parser._CONVERSATION._turn:  # as if another thread were in the middle of a question
            child = os.fork()
        if child == 0:
            names = [parse(f"child_{number}").name for number in range(200)]
            same = names == [f"child_{number}" for number in range(200)]
            os._exit(0 if same and parser._CONVERSATION.process_id != mine else 1)
        names = [parse(f"parent_{number}").name for number in range(200)]
        assert names == [f"parent_{number}" for number in range(200)]
        assert parser._CONVERSATION.process_id == mine
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("done")
    """)
    command = [sys.executable, "-W", "error", "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_the_helper_tells_its_version_and_refuses_arguments() -> None:
    path = locate("promql").path
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)
    assert told.stdout.startswith("stakewatch-promql, version 3.")
    refused = subprocess.run([path, "up"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "usage" in refused.stderr


@pytest.mark.parametrize(
    ("given", "code", "answers"),
    [
        (b"", 0, 0),
        (b"\n \n", 0, 0),
        (b'{"id": 1, "expr": "up"}', 0, 1),
        (b'{"id": 1, "expr": "up"}\n{"id": 2, "expr": "("}\n', 0, 2),
        (b'{"id": 1}\n', 0, 1),
        (b"not JSON\n", 1, 0),
        (b'{"id": 1, "expr": 5}\n', 1, 0),
        (b'{"id": 1, "ex', 1, 0),
        (b"\xff\xfe\n", 1, 0),
    ],
)
def test_the_helper_ends_with_its_input_and_with_an_error_when_it_is_broken(
    given: bytes, code: int, answers: int
) -> None:
    ended = subprocess.run([locate("promql").path], input=given, capture_output=True, check=False, timeout=60)
    assert ended.returncode == code
    assert ended.stdout.count(b"\n") == answers
    assert b"panic" not in ended.stderr


def test_a_million_characters_do_not_block_the_pipes() -> None:
    conversation = Conversation(lambda: locate("promql").path, timeout_seconds=20)
    text = "sum by (" + ",".join(f"l{number}" for number in range(120_000)) + ") (x)"
    assert len(text) > 800_000
    assert len(conversation.ask(text)["nodes"][1]["grouping"]["labels"]) == 120_000
    errors = conversation.ask(text + ")")["errors"]
    assert len(errors) >= 1
    conversation.close()


def test_no_pipe_is_left_open(programs: Programs) -> None:
    conversation = Conversation(programs.find, timeout_seconds=2)
    conversation.ask("up")
    conversation.close()
    before = _open_files()
    for _ in range(5):
        conversation.ask("up")
        conversation.close()
    assert _open_files() == before
