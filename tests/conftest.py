"""What all tests share: the marker `needs`, for programs that only a distribution's package brings."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from stakewatch.errors import InputError
from stakewatch.programs.find import missing_needs, search_for
from stakewatch.programs.pins import find_program

_NOT_RUN = pytest.StashKey[dict[str, list[str]]]()


def _missing(item: pytest.Item) -> Iterator[str]:
    """Yield, for each program that a test needs and that is not here, what to do about it.

    What `make test` builds is not asked for: were it missing, the test itself has to say so.
    """
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            try:
                program = find_program(name)
            except InputError as error:
                raise pytest.UsageError(f"{item.nodeid}: {error}") from error
            if search_for(program).located is not None:
                continue
            packages = missing_needs(program) if program.obtainable else (search_for(program),)
            for search in packages:
                yield "; ".join([f"{search.program.name} is missing", *search.remarks, search.mend])


def pytest_configure() -> None:
    """Take Ctrl-C as from a terminal: a shell starts background jobs, and so their children, deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose programs are missing, except in CI, where each of them fails."""
    not_run: dict[str, list[str]] = {}
    missing = {item.nodeid: list(_missing(item)) for item in items}
    if os.environ.get("CI") != "true":
        for item in items:
            for reason in missing[item.nodeid]:
                not_run.setdefault(reason, []).append(item.nodeid)
        left_out = [item for item in items if missing[item.nodeid]]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if not missing[item.nodeid]]
    config.stash[_NOT_RUN] = not_run


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose program is missing; only in CI does one come this far."""
    for reason in _missing(item):
        pytest.fail(f"CI runs every test, but {reason}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a worker tell the process that prints what was not run: only workers collect tests."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not_run"] = session.config.stash.get(_NOT_RUN, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - the class is private to pytest-xdist
    """Take what a worker tells; every worker collects all tests, so each tells the same."""
    node.config.stash[_NOT_RUN] = getattr(node, "workeroutput", {}).get("not_run", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what was not run and how to have it run."""
    not_run = config.stash.get(_NOT_RUN, {})
    if not not_run:
        return
    terminalreporter.section("not run")
    for reason, tests in not_run.items():
        terminalreporter.line(reason)
        for test in tests:
            terminalreporter.line(f"  {test}")
