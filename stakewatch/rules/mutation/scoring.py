"""Scoring: what became of each mutant, and what share of them the tests notice."""

from dataclasses import dataclass
from pathlib import Path

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.reports import Figure, Report, revision
from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.equivalents import Equivalent
from stakewatch.rules.mutation.mutants import APART, Mutant, Operator


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: which majors of promtool were asked, and which of them noticed it.

    `tests` counts the tests that look at what it changes.
    """

    path: Path
    rule: Rule
    line: int
    mutant: Mutant
    tests: int
    asked: frozenset[str]
    noticed: frozenset[str]
    equivalent: Equivalent | None = None

    @property
    def killed(self) -> bool:
        """Whether a test fails, on one major at least."""
        return bool(self.noticed)

    @property
    def survived(self) -> bool:
        """Whether no test fails and nobody said why none can."""
        return not self.killed and self.equivalent is None

    @property
    def disagreed(self) -> bool:
        """Whether one major notices a change of a range and the other does not."""
        return self.killed and self.mutant.operator is Operator.RANGE and self.noticed != self.asked


@dataclass(frozen=True)
class Score:
    """The mutants of one operator."""

    operator: Operator
    killed: int
    equivalent: int
    total: int

    @property
    def percent(self) -> float:
        """The share of mutants that can be killed and are; 100 where there are none."""
        can = self.total - self.equivalent
        return 100.0 * self.killed / can if can else 100.0


@dataclass(frozen=True)
class Mutation:
    """All outcomes; `remarks` are tests that could not count and entries of equivalents that are stale.

    `asked` and `remembered` count answers: of promtool in this run, and of earlier runs.
    """

    outcomes: tuple[Outcome, ...]
    remarks: tuple[Finding, ...]
    tests: int
    asked: int
    remembered: int
    seconds: float

    @property
    def scores(self) -> tuple[Score, ...]:
        """The score of each operator that has mutants, in the order of Operator."""
        found = []
        for operator in Operator:
            of = [one for one in self.outcomes if one.mutant.operator is operator]
            if of:
                killed = sum(one.killed for one in of)
                equivalent = sum(one.equivalent is not None for one in of)
                found.append(Score(operator, killed, equivalent, len(of)))
        return tuple(found)

    @property
    def counted(self) -> tuple[Outcome, ...]:
        """The mutants that make up the score: labels and annotations apart."""
        return tuple(one for one in self.outcomes if one.mutant.operator not in APART)

    @property
    def worst(self) -> Score | None:
        """The lowest score, labels and annotations apart."""
        return min(
            (score for score in self.scores if score.operator not in APART),
            key=lambda score: score.percent,
            default=None,
        )

    @property
    def percent(self) -> float:
        """The share of all counted mutants that can be killed and are."""
        can = [one for one in self.counted if one.equivalent is None]
        return 100.0 * sum(one.killed for one in can) / len(can) if can else 100.0

    @property
    def equivalent_percent(self) -> float:
        """The share of counted mutants that are said to be equivalent."""
        return 100.0 * sum(one.equivalent is not None for one in self.counted) / max(1, len(self.counted))

    @property
    def survivors(self) -> tuple[Outcome, ...]:
        """The mutants that no test notices, labels and annotations among them."""
        return tuple(one for one in self.outcomes if one.survived)


def mutation_report(mutation: Mutation, folder: Path, *, cold: bool) -> Report:
    """Return the figures of a measurement of the bundle in `folder`, `cold` when nothing was remembered."""
    worst = mutation.worst
    name, bar = ("cold_seconds", "< 900") if cold else ("warm_seconds", "< 15")
    figures = (
        Figure("score_worst_class", worst.percent if worst else 100.0, "%", ">= 95"),
        Figure("equivalent_percent", mutation.equivalent_percent, "%", "<= 3"),
        *(
            Figure(f"score_{score.operator.replace(' ', '_')}", score.percent, "%")
            for score in mutation.scores
        ),
        Figure("mutants", len(mutation.counted), "mutants"),
        Figure("survivors", sum(one.survived for one in mutation.counted), "mutants"),
        Figure("disagreements", sum(one.disagreed for one in mutation.outcomes), "mutants"),
        Figure("stale_equivalents_and_tests_not_counted", len(mutation.remarks), "entries", "== 0"),
        Figure(name, mutation.seconds, "s", bar),
    )
    return Report(report="mutate", revision=revision(folder), seconds=mutation.seconds, figures=figures)
