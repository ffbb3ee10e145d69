"""Checks on the catalogue itself: its files follow their schemas and do not contradict themselves."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from stakewatch.bundle.checks import Finding, check
from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.document import read_text
from stakewatch.bundle.folder import Bundle
from stakewatch.catalogue.components import load_component
from stakewatch.catalogue.contract import load_contract
from stakewatch.catalogue.inventory import CONTRACT
from stakewatch.catalogue.metrics_reference import metrics_reference
from stakewatch.errors import InputError

_MOST_PER_FILE = 50


@check("catalogue/schema", "A catalogue file that is no JSON, breaks its schema or lists a metric twice.")
def catalogue_schema(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield what the schemas have against the components and the exporter's contract."""
    for path in sorted((bundle.catalogue / "components").glob("*.json")):
        yield from islice(_component_findings(path), _MOST_PER_FILE)
    contract = bundle.catalogue / CONTRACT
    if contract.exists():
        try:
            load_contract(contract)
        except InputError as error:
            yield _finding(contract, error)


@check("catalogue/metrics-page", "docs/exporter-metrics.md is not what the exporter's contract says.")
def metrics_page(bundle: Bundle, _configuration: Configuration) -> Iterator[Finding]:
    """Yield a finding when the page was not written anew after its contract changed."""
    page, contract = bundle.root / "docs" / "exporter-metrics.md", bundle.catalogue / CONTRACT
    if not page.exists() or not contract.exists():
        return
    try:
        expected = metrics_reference(load_contract(contract))
        found = read_text(page)
    except InputError:
        # What is wrong with the contract is told by the check of the schema.
        return
    if found != expected:
        yield Finding(
            path=page,
            line=1,
            message="the page differs from what the contract gives",
            mend="stakewatch metrics --reference > docs/exporter-metrics.md",
        )


@cache
def component_schema() -> dict[str, Any]:
    """Return the JSON Schema of a component file."""
    text = resources.files("stakewatch.catalogue").joinpath("schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def _component_findings(path: Path) -> Iterator[Finding]:
    try:
        text = read_text(path)
        content = json.loads(text)
    except InputError as error:
        yield Finding(
            path=path, line=1, message=f"not valid JSON: {error.what}", mend="mend or restore the file"
        )
        return
    except (RecursionError, ValueError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        yield Finding(
            path=path, line=line, message=f"not valid JSON: {error}", mend="mend or restore the file"
        )
        return
    validator = Draft202012Validator(component_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    broken = False
    for fault in validator.iter_errors(content):
        broken = True
        place = "/".join(str(step) for step in fault.absolute_path)
        name = _named(content, list(fault.absolute_path))
        yield Finding(
            path=path,
            line=_line(text, name),
            message=f"{place or 'the file'}{f' ({name})' if name else ''}: {fault.message:.200}",
            mend="stakewatch/catalogue/schema.json says what may stand there",
        )
    if broken:
        return
    seen: set[str] = set()
    for metric in load_component(path).metrics:
        if metric.name in seen:
            yield Finding(
                path=path,
                line=_line(text, metric.name),
                message=f"the metric {metric.name} stands a second time",
                mend="merge the two",
            )
        seen.add(metric.name)


def _named(content: Any, place: list[str | int]) -> str | None:  # noqa: ANN401 - JSON
    """Return the name of the metric in which `place` lies, if it lies in one that has a name."""
    if len(place) < 2 or place[0] != "metrics":  # noqa: PLR2004 - "metrics" and a number
        return None
    entry = content["metrics"][place[1]]
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def _line(text: str, name: str | None) -> int:
    position = text.find(f'"name": {json.dumps(name)}') if name else -1
    return text.count("\n", 0, position) + 1 if position >= 0 else 1


def _finding(path: Path, error: InputError) -> Finding:
    line = (error.where or "").rpartition(":")[2]
    return Finding(
        path=path, line=int(line) if line.isdigit() else 1, message=error.what, mend=error.mend or "see above"
    )
