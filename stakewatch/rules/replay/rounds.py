"""A simulated time under all rules: the fleet's series go to the rule clock, its alerts come back."""

from collections.abc import Callable, Iterator
from pathlib import Path

from stakewatch.rules.clock import Evaluation, RuleClock, rule_clock
from stakewatch.rules.files import rule_paths
from stakewatch.rules.replay.board import Board
from stakewatch.rules.replay.client_model import ClientModel
from stakewatch.rules.replay.exporter_model import ExporterModel
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
        self.board.freeze()
        self._exporter.start()
        self._clients.start()

    def update(self, at: float) -> None:
        """Write what a scrape at this time finds."""
        self._exporter.update(at)
        self._clients.update(at)


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
