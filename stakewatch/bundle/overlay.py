"""Overlays: a bundle with some of its folders or files taken from other places, for checks on those."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from stakewatch.bundle.checks import Finding
from stakewatch.bundle.folder import Bundle


@contextmanager
def laid_over(bundle: Bundle | None, instead: Mapping[str, Path]) -> Iterator[Bundle]:
    """Give a bundle of links to another, with what `instead` names (such as `rules`) taken from elsewhere.

    Without a bundle there is only what `instead` names. It is gone when the block ends; nothing of either is
    changed.
    """
    with tempfile.TemporaryDirectory(prefix="overlay-") as temporary:
        root = Path(temporary)
        wanted = {PurePosixPath(name): path.resolve() for name, path in instead.items()}
        if bundle is not None:
            _link(bundle.root, root, PurePosixPath(), wanted)
        for name, path in wanted.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(path)
        yield Bundle(root)


def moved(finding: Finding, overlay: Path, original: Path) -> Finding:
    """Return a finding below a path of an overlay with its place below what that path stands for."""
    path = finding.path
    return (
        replace(finding, path=original / path.relative_to(overlay))
        if path.is_relative_to(overlay)
        else finding
    )


def _link(source: Path, target: Path, place: PurePosixPath, instead: Mapping[PurePosixPath, Path]) -> None:
    """Link all of a folder but what is to stand instead; folders that hold such are made anew."""
    for path in source.iterdir():
        own = place / path.name
        if own in instead or (not place.parts and path.name.startswith(".")):
            continue
        if any(own in one.parents for one in instead):
            (target / path.name).mkdir()
            _link(path, target / path.name, own, instead)
        else:
            (target / path.name).symlink_to(path.resolve())
