"""README.md and docs/architecture.md against the code: every command and room, and imports go one way."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from stakewatch.cli.main import group

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = {path.parent.name: path.parent for path in sorted((ROOT / "stakewatch").glob("*/__init__.py"))}
EXPORTER = {"exporter": ROOT / "exporters" / "stakewatch_exporter"}

EVERYBODY = {"stakewatch", "errors"}
INPUT = {"bundle", "catalogue", "promql", "programs"}
MAY_IMPORT = {
    "ethereum": set(),
    "programs": set(),
    "bundle": set(),
    "promql": {"programs"},
    "catalogue": {"bundle"},
    "rules": INPUT,
    "grafana": INPUT | {"rules"},
    "simulator": INPUT | {"ethereum"},
    "exporter": INPUT | {"ethereum"},
    "demo": INPUT | {"rules", "grafana", "simulator", "exporter"},
    "cli": INPUT | {"rules", "grafana", "simulator", "exporter", "demo"},
}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield `file:line` and the room of each import of ours."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
                first, _, rest = name.partition(".")
                if first == "stakewatch":
                    yield place, rest.partition(".")[0] or "stakewatch"
                elif first == "stakewatch_exporter":
                    yield place, "exporter"


@pytest.mark.parametrize("room", [*ROOMS, *EXPORTER])
def test_a_room_imports_only_what_lies_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room} | EVERYBODY
    seen = list(imported((ROOMS | EXPORTER)[room]))
    assert seen
    assert [(place, other) for place, other in seen if other not in allowed] == []


def folders() -> list[str]:
    """Return every room, and every folder at the root that holds something of ours."""
    roots = (path.name for path in sorted(ROOT.iterdir()) if path.is_dir() and path.name[0] not in "._")
    return [f"stakewatch/{room}/" for room in ROOMS] + [
        f"{name}/" for name in roots if name not in {"stakewatch", "tests", "build"}
    ]


@pytest.mark.parametrize("folder", folders())
def test_the_page_says_what_lives_in_every_folder(folder: str) -> None:
    assert f"`{folder}" in PAGE, "give it a row in docs/architecture.md"


def test_the_page_names_nothing_that_is_not_there() -> None:
    named = set(re.findall(r"^\| `([a-z_/]+)/`", PAGE, re.MULTILINE))
    assert len(named) > 15
    assert {folder for folder in named if not (ROOT / folder).is_dir()} == set()


def test_the_readme_lists_the_commands_that_there_are() -> None:
    listed = re.findall(r"^\| `stakewatch ([a-z-]+)", README, re.MULTILINE)
    assert sorted(listed) == group.list_commands(click.Context(group))


def test_the_readme_names_only_targets_that_make_knows() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^`?make ([a-z0-9-]+)|`make ([a-z0-9-]+)", README, re.MULTILINE))
    targets = {one or other for one, other in named}
    assert {"demo", "test", "e2e", "help"} <= targets
    assert {target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)} == set()


def test_links_between_the_documents_lead_somewhere() -> None:
    for page, text in ((ROOT / "README.md", README), (ROOT / "docs" / "architecture.md", PAGE)):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
