"""Checks on logs: the pipelines, what is rendered from them, their samples, and how long Loki keeps lines."""

from collections.abc import Iterator

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.generated import compare
from stakewatch.logs import recording_checks as recording_checks  # noqa: PLC0414 - it registers its checks
from stakewatch.logs.compilation import stages_of
from stakewatch.logs.interpretation import interpret
from stakewatch.logs.loki_configuration import loki_files, retention_problems
from stakewatch.logs.pipelines import load_pipelines, pipelines_path
from stakewatch.logs.rendering import MAKER, rendered
from stakewatch.logs.samples import load_samples, samples_path


@check("logs/generated", "A file of loki/ that is not what its pipelines make.")
def generated_files(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the committed files that differ from what the pipelines make with default settings.

    Raises InputError when the pipelines are wrong.
    """
    path = pipelines_path(bundle)
    if path.is_file():
        files = rendered(load_pipelines(path), Configuration())
        for difference in compare(files, path.parent, maker=MAKER):
            mend = "run `stakewatch logs render` and commit what it writes"
            yield Finding(difference.path, 1, f"the file {difference.what}", mend)


@check("logs/samples", "A sample line that its pipeline reads otherwise than it says.")
def samples(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the differences of each line of tests/samples/logs from what its pipeline makes of it.

    Raises InputError when the pipelines or a file of samples are wrong.
    """
    path = pipelines_path(bundle)
    if path.is_file():
        stages = stages_of(load_pipelines(path))
        for sample in load_samples(samples_path(bundle)):
            for difference in sample.differences(interpret(stages, sample.entry())):
                mend = "mend its pipeline in loki/pipelines.yaml, or what is expected"
                yield Finding(sample.path, sample.number, difference, mend)


@check("logs/retention", "A Loki that keeps logs less than 90 days, or for ever.")
def retention(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what is wrong with the retention of each configuration of Loki."""
    for path in loki_files(bundle):
        for problem in retention_problems(path):
            yield Finding(problem.path, problem.line, problem.what, problem.mend)
