"""A simulated time under all rules: the fleet's series go to the rule clock, its alerts come back."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from stakewatch.errors import InputError
from stakewatch.rules.clock import Evaluation, RuleClock, rule_clock
from stakewatch.rules.files import rule_paths
from stakewatch.rules.replay.board import Board, Numbers, Values
from stakewatch.rules.replay.client_model import ClientModel
from stakewatch.rules.replay.exporter_model import ExporterModel
from stakewatch.rules.replay.fleet import EXPORTER
from stakewatch.rules.replay.happenings import SeriesChange
from stakewatch.rules.replay.truth import Truth

SCRAPE_SECONDS = 15
EVALUATION_SECONDS = 30


class Model:
    """All that a fleet shows, as a truth has it; `at` goes forward from the truth's start."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.board = Board()
        self._exporter = ExporterModel(self.board, truth)
        self._clients = ClientModel(self.board, truth)
        self._kept: list[tuple[Numbers, Values]] = []
        self._changes = [(one, self._changed(one)) for one in truth.changes]
        self.board.freeze()
        self._exporter.start()
        self._clients.start()

    def update(self, at: float) -> None:
        """Write what a scrape at this time finds."""
        board = self.board
        # What stands still is written once by the models, and has to be given back before they write.
        for numbers, values in self._kept:
            board.values[numbers] = values
        self._kept.clear()
        self._exporter.update(at)
        self._clients.update(at)
        for change, (numbers, is_new) in self._changes:
            value = change.value_at(at)
            if value is not None and is_new:
                board.put(numbers, value)
            elif value is not None:
                # A process that is gone shows nothing, whatever happens to it.
                shown = numbers[board.live[numbers]]
                self._kept.append((shown, board.values[shown].copy()))
                board.put(shown, value)
            elif is_new:
                board.live[numbers] = False

    def _changed(self, change: SeriesChange) -> tuple[Numbers, bool]:
        """Return the series that a change is about, and whether nothing but the change shows them."""
        wanted = {"__name__": change.metric, **change.labels}
        if change.of is not None:
            wanted |= self._labels_of(change.of)
        found = [
            number for number, labels in enumerate(self.board.labels) if wanted.items() <= labels.items()
        ]
        if found:
            return np.array(found, dtype=np.int64), False
        if change.of is None:
            raise InputError(
                f"nothing of this fleet shows {change.metric} with these labels",
                mend="name the process that shows it with `of`, or mend the labels",
            )
        labels = {**self._labels_of(change.of), **change.labels}
        return np.array([self.board.add(change.metric, labels)], dtype=np.int64), True

    def _labels_of(self, instance: str) -> Mapping[str, str]:
        fleet = self.truth.fleet
        return fleet.exporter if instance == EXPORTER else fleet.processes[instance].labels


def evaluations(
    truth: Truth, rules: Path, *, report: Callable[[float], None] = lambda _: None
) -> Iterator[Evaluation]:
    """Scrape and evaluate from the truth's start to its end; yield each round, and report each hour.

    Raises StakewatchError when a rule fails.
    """
    with rule_clock(rule_paths(rules)) as clock:
        model = Model(truth)
        model.board.announce(clock)
        yield from rounds(model, clock, report)


def rounds(model: Model, clock: RuleClock, report: Callable[[float], None]) -> Iterator[Evaluation]:
    """Drive a clock that knows the model's series through the whole time of its truth."""
    truth = model.truth
    for at in range(truth.start, truth.end + 1, SCRAPE_SECONDS):
        model.update(at)
        model.board.scrape(clock, at)
        # A rule never sees the scrape of its own second.
        if (at - truth.start) % EVALUATION_SECONDS == 0:
            yield clock.evaluate(at + 1)
        if (at - truth.start) % 3600 == 0:
            report((at - truth.start) / 3600)
