"""Overlays: what stands instead is seen, all else is the bundle's, and the bundle is left alone."""

from pathlib import Path

import pytest

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.overlay import laid_over, moved


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    root = tmp_path / "bundle"
    for name in ("rules/a.yaml", "catalogue/contract.yaml", "catalogue/components/one.json", ".git/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    return Bundle(root)


def files(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for folder in ("rules", "catalogue", "catalogue/components", ".git")
        for path in sorted((root / folder).glob("*"))
        if path.is_file()
    }


def test_a_file_deep_inside_is_another_and_all_else_is_the_bundles(bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("other", encoding="utf-8")
    before = files(bundle.root)
    with laid_over(bundle, {"catalogue/components/one.json": other}) as overlay:
        seen = files(overlay.root)
        assert seen == {
            **{name: text for name, text in before.items() if not name.startswith(".")},
            "catalogue/components/one.json": "other",
        }
    assert not overlay.root.exists()
    assert files(bundle.root) == before


def test_what_the_bundle_lacks_is_added(bundle: Bundle, tmp_path: Path) -> None:
    other = tmp_path / "two.json"
    other.write_text("two", encoding="utf-8")
    with laid_over(bundle, {"catalogue/components/two.json": other}) as overlay:
        assert sorted(files(overlay.root))[:2] == [
            "catalogue/components/one.json",
            "catalogue/components/two.json",
        ]


def test_without_a_bundle_there_is_only_what_was_named(bundle: Bundle) -> None:
    with laid_over(None, {"rules": bundle.rules}) as overlay:
        assert files(overlay.root) == {"rules/a.yaml": "rules/a.yaml"}
        assert [path.name for path in overlay.root.iterdir()] == ["rules"]


def test_a_finding_is_shown_where_it_really_is() -> None:
    inside = Finding(Path("/overlay/rules/a.yaml"), 3, "what", "mend", column=2)
    assert moved(inside, Path("/overlay"), Path("/real")) == Finding(
        Path("/real/rules/a.yaml"), 3, "what", "mend", column=2
    )
    assert moved(inside, Path("/elsewhere"), Path("/real")) == inside
