"""docs/your-bundle.md against what `stakewatch init` does."""

import re
from pathlib import Path

from stakewatch.bundle.merging import ORIGIN_FILE, Fate, plan
from stakewatch.cli.init import command

PAGE = (Path(__file__).parents[3] / "docs" / "your-bundle.md").read_text(encoding="utf-8")
# What each row of the table is about: as brought, as it is now, as the newer bundle has it.
ROWS = {
    ("did not touch it", "changed it"): ("1", "1", "2"),
    ("did not touch it", "has none any more"): ("1", "1", None),
    ("changed it", "has it as before"): ("1", "mine", "1"),
    ("changed it", "changed it"): ("1", "mine", "2"),
    ("changed it", "has none any more"): ("1", "mine", None),
    ("removed it", "has it"): ("1", None, "2"),
    ("made one of that name", "has a new one"): (None, "mine", "2"),
    ("made it, and the bundle has none", ""): (None, "mine", None),
}
WORDS = {
    Fate.RENEWED: "it is renewed",
    Fate.REMOVED: "it is removed",
    Fate.KEPT: "yours stays, and is listed",
    Fate.ORPHANED: "yours stays, and is listed",
    Fate.ABSENT: "it stays removed, and is listed",
    Fate.CONFLICT: "lies beside it as `FILE.new`",
}


def test_the_table_says_what_becomes_of_a_file() -> None:
    table = re.findall(r"^\| ([^|]+?) \| ?([^|]*?) ?\| ([^|]+) \|$", PAGE, re.MULTILINE)
    rows = {(you, bundle): happens for you, bundle, happens in table if you != "you"}
    assert set(rows) == set(ROWS)
    for row, versions in ROWS.items():
        before, now, newer = ({"a": one} if one is not None else {} for one in versions)
        fates = [fate for _, fate in plan(before, now, newer)]
        assert rows[row].endswith(WORDS[fates[0]] if fates else "it is never looked at")


def test_the_options_and_the_file_that_are_named_exist() -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    named = set(re.findall(r"--[a-z][a-z-]*", PAGE))
    assert named == {"--dry-run", "--diff", "--merge"}
    assert named <= options
    assert f"`{ORIGIN_FILE}`" in PAGE
