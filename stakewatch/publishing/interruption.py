"""Signals that end the program: they wait for what has to be given back, and go through every `finally`."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

_EXIT_BY_SIGNAL = 128


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the program through all its `finally` for a block, as Ctrl-C does."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(_EXIT_BY_SIGNAL + number)

    with _handled({signal.SIGTERM: end, signal.SIGHUP: end}):
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals that end the program until the block has ended, which it has to do by itself soon."""
    held: list[int] = []

    def hold(number: int, _: FrameType | None) -> None:
        held.append(number)

    try:
        with _handled({signal.SIGINT: hold, signal.SIGTERM: hold, signal.SIGHUP: hold}):
            yield
    finally:
        if held:
            signal.raise_signal(held[0])


@contextmanager
def _handled(handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """Install signal handlers for a block; only the main thread can, in others signals do not interrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with ExitStack() as stack:
        for number, handler in handlers.items():
            before = signal.signal(number, handler)
            stack.callback(_restore, number, before)
        yield


def _restore(number: signal.Signals, before: Any) -> None:  # noqa: ANN401 - as signal.signal returned it
    # None is a handler that was not installed from Python, which cannot put it back.
    with contextlib.suppress(TypeError):
        signal.signal(number, before)
