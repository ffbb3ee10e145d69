"""Imports between the rooms go one way, as docs/architecture.md says."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What each room may import of ours, besides the errors. A new room or way is a decision: it is made here.
ALLOWED = {
    "bundle": set[str](),
    "catalogue": {"bundle"},
    "cli": {"bundle", "catalogue", "demo", "grafana", "logs", "programs", "publishing", "rules"},
    "demo": {"bundle", "programs", "rules"},
    "ethereum": set[str](),
    "exporter": {"bundle", "ethereum"},
    "grafana": {"bundle", "catalogue", "promql", "rules"},
    "kubernetes": {"bundle", "grafana", "rules"},
    "logs": {"bundle", "catalogue", "kubernetes", "promql"},
    "programs": set[str](),
    "promql": {"programs"},
    "publishing": {"bundle", "programs", "promql", "rules"},
    "rules": {"bundle", "catalogue", "programs", "promql"},
    "simulator": {"ethereum"},
}


def room_of(module: str) -> str | None:
    """Return the room that a module stands in, None when it is not one of ours or of no room."""
    parts = module.split(".")
    if parts[0] == "stakewatch_exporter":
        return "exporter"
    if parts[0] != "stakewatch" or len(parts) == 1 or not (ROOT / "stakewatch" / parts[1]).is_dir():
        return None
    return parts[1]


def imported(source: Path) -> Iterator[str]:
    """Yield the modules that a file imports, inside of functions too."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def folder_of(room: str) -> Path:
    return ROOT / "exporters" / "stakewatch_exporter" if room == "exporter" else ROOT / "stakewatch" / room


def test_every_room_is_in_the_table() -> None:
    rooms = {path.parent.name for path in (ROOT / "stakewatch").glob("*/__init__.py")}
    assert rooms | {"exporter"} == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    wrong = {
        f"{source.relative_to(ROOT)} imports {module}"
        for source in folder_of(room).rglob("*.py")
        for module in imported(source)
        if room_of(module) not in {None, room, *ALLOWED[room]}
    }
    assert wrong == set()
