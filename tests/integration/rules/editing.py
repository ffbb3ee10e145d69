"""A folder of rules and tests that is edited between measurements of its mutants."""

from pathlib import Path

from stakewatch.rules.mutation.measurement import measure_mutation
from stakewatch.rules.mutation.memory import Memory
from stakewatch.rules.mutation.scoring import Mutation


def measured(folder: Path, memory: Memory) -> Mutation:
    """Measure the rules of a folder by its tests."""
    return measure_mutation(folder / "rules.yaml", folder, memory=memory)


def edit(folder: Path, before: str, after: str) -> None:
    """Replace what stands once in the rules of a folder."""
    text = (folder / "rules.yaml").read_text(encoding="utf-8")
    assert text.count(before) == 1
    (folder / "rules.yaml").write_text(text.replace(before, after), encoding="utf-8")


def answers(mutation: Mutation) -> dict[tuple[str, str], bool]:
    """Return of each mutant, by its rule and change, whether it was noticed."""
    return {(one.rule.name, one.mutant.change): one.killed for one in mutation.outcomes}
