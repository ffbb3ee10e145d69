"""Generated files: what is committed although something makes it, and whether it still is as it is made."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Difference:
    """A generated file that is not as it is made, and what it is instead."""

    path: Path
    what: str


def write(files: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    """Write what differs below `folder`, each file in one step, and return the paths of those files.

    `files` has the texts by their paths below `folder`.
    """
    changed = []
    for difference in compare(files, folder):
        path = difference.path
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_text(files[path.relative_to(folder).as_posix()], encoding="utf-8")
        partial.replace(path)
        changed.append(path)
    return tuple(changed)


def compare(
    files: Mapping[str, str], folder: Path, *, maker: str = "its source", pattern: str = ""
) -> Iterator[Difference]:
    """Yield the files below `folder` that are missing, other than `files` says, or made by nothing.

    Files of nobody are those that `pattern` finds; `maker` is what messages call their source.
    """
    for name, text in sorted(files.items()):
        path = folder / name
        if not path.is_file():
            yield Difference(path, "is missing")
        elif path.read_text(encoding="utf-8", errors="replace") != text:
            yield Difference(path, f"is not what {maker} makes")
    for path in sorted(folder.glob(pattern)) if pattern else ():
        if path.relative_to(folder).as_posix() not in files:
            yield Difference(path, f"is made by no {maker.removeprefix('its ')}")
