"""Outcomes: what all tests together said of a mutant, remembered as a whole.

Where nothing was edited that a mutant depends on, or that depends on it, one look-up tells which majors
noticed it, and no single answer has to be found again.
"""

from collections.abc import Iterable, Iterator, Sequence

from stakewatch.rules.files import Rule
from stakewatch.rules.mutation.dependencies import Place, reads_alerts
from stakewatch.rules.mutation.memory import Memory, combined, fingerprint
from stakewatch.rules.mutation.subjects import Keys, Subject
from stakewatch.rules.mutation.worlds import World


class Outcomes:
    """The outcomes of earlier runs."""

    def __init__(self, keys: Keys, memory: Memory) -> None:
        """Look into `memory`, by `keys` of the rules."""
        self._keys = keys
        self._memory = memory
        self._around: dict[tuple[Place, str | None], str] = {}

    def recall(self, subjects: Iterable[Subject]) -> list[Subject]:
        """Note by which majors mutants were noticed, and return those of which that is not known."""
        return [subject for subject in subjects if not self._is_known(subject)]

    def keep(self, subjects: Iterable[Subject]) -> None:
        """Remember by which majors mutants were noticed."""
        self._memory.put(
            {
                key: program in subject.noticed
                for subject in subjects
                for program, key in self._keys_of(subject)
            }
        )

    def _is_known(self, subject: Subject) -> bool:
        answers = {program: self._memory.get(key) for program, key in self._keys_of(subject)}
        if not answers or None in answers.values():
            return False
        subject.noticed.update(program for program, noticed in answers.items() if noticed)
        return True

    def _keys_of(self, subject: Subject) -> Iterator[tuple[str, str]]:
        changed = subject.mutant.rule
        # A changed matcher of ALERTS may ask for alerts that the rule has nothing to do with.
        around = subject.place, changed.expression if reads_alerts(changed.expression) else None
        if around not in self._around:
            self._around[around] = combined(
                part for world in subject.worlds for part in self._parts(world, subject.place, changed)
            )
        for program in sorted(subject.asked):
            yield program, combined(("outcome", self._around[around], subject.key, program))

    def _parts(self, world: World, place: Place, changed: Rule) -> Sequence[str]:
        """Return what all answers of a test about a mutant of a rule depend on."""
        affected = world.rules.affected(place)
        read = (one for asserted in world.asserted(affected) for one in world.read_by(asserted))
        decisive = world.rules.decisive((*affected, *read), [changed])
        texts = [dict(world.rules.rules[one].annotations) for one in sorted(affected)]
        versions = [(program, world.versions[program]) for program in world.programs]
        return (
            world.given,
            world.written,
            self._keys.of(world.rules, decisive),
            fingerprint(texts, versions),
        )
