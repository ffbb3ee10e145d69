"""Checks on what is written for Kubernetes."""

from collections.abc import Iterator

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.validation import schema_problems
from stakewatch.kubernetes.chart import chart_schema
from stakewatch.kubernetes.values import read_values, values_path


@check("kubernetes/values", "A value that the chart kube-prometheus-stack does not know, and would ignore.")
def values(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield keys that no template of the chart reads."""
    path = values_path(bundle)
    if not path.is_file():
        return
    document = read_values(path)
    for problem in (*document.problems, *schema_problems(document, chart_schema())):
        yield Finding(problem.path, problem.line, problem.what, problem.mend)
