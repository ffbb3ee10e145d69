"""Expressions of every shape that Prometheus accepts, and those of our own rules."""

from pathlib import Path

import yaml

_HERE = Path(__file__).parent
_RULES = _HERE.parents[2] / "rules"


def load_corpus() -> list[str]:
    """Return the expressions of corpus.txt, which stand between lines of three hyphens."""
    return (_HERE / "corpus.txt").read_text(encoding="utf-8").removesuffix("\n").split("\n---\n")


def load_rules() -> list[str]:
    """Return every expression of rules/."""
    files = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(_RULES.glob("*.yaml"))]
    return [rule["expr"] for file in files for group in file["groups"] for rule in group["rules"]]
