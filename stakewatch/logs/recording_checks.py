"""Checks on what Loki's ruler records: rules that load, and series that the catalogue knows."""

from collections.abc import Iterator

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue import load_catalogue
from stakewatch.logs.pipelines import load_pipelines, pipelines_path
from stakewatch.logs.recording import load_recording_rules, recording_rules_folder

COMPONENT = "log-rules"
_ERROR_CLASS = "error_class"


@check("logs/recorded", "A series that rules on logs record and the catalogue does not know, or the reverse.")
def recorded(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield the differences between loki/rules and the catalogue, by which alerts on logs are checked.

    Raises InputError when a rule on logs is wrong.
    """
    rules = load_recording_rules(recording_rules_folder(bundle))
    if not rules:
        return
    page = bundle.catalogue / "components" / f"{COMPONENT}.json"
    component = load_catalogue(bundle.catalogue).components.get(COMPONENT)
    known = {} if component is None else {metric.name: metric for metric in component.metrics}
    for rule in rules:
        metric = known.pop(rule.name, None)
        if metric is None:
            yield Finding(
                rule.path, rule.line, f"the catalogue does not know {rule.name}", f"add it to {page.name}"
            )
            continue
        if set(metric.labels or ()) != set(rule.labels):
            mend = f"write {', '.join(rule.labels)} in {page.name}"
            yield Finding(rule.path, rule.line, f"the catalogue has other labels of {rule.name}", mend)
        classes = metric.label_values.get(_ERROR_CLASS)
        path = pipelines_path(bundle)
        if classes is not None and path.is_file():
            declared = load_pipelines(path).error_classes
            if set(classes) != set(declared):
                mend = f"write {', '.join(declared)} in {page.name}"
                yield Finding(path, 1, "the catalogue has other error classes than the pipelines", mend)
    for name in known:
        yield Finding(page, 1, f"no rule on logs records {name}", "remove it, or mend its name")
