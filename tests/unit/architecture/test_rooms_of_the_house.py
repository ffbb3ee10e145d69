"""README.md and docs/architecture.md against the code: every command, target and folder."""

import re
from pathlib import Path

import click
import pytest

from stakewatch.cli.main import group

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROOMS = sorted(path.parent.name for path in (ROOT / "stakewatch").glob("*/__init__.py"))


def folders() -> list[str]:
    """Return every room, and every folder at the root that holds something of ours."""
    roots = (path.name for path in sorted(ROOT.iterdir()) if path.is_dir() and path.name[0] not in "._")
    return [f"stakewatch/{room}/" for room in ROOMS] + [
        f"{name}/"
        for name in roots
        if name not in {"stakewatch", "tests", "build", "dist"} and not name.endswith(".egg-info")
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
