"""The workshop: where the recipes of programs stand, and where what is made from them goes."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType

import stakewatch
from stakewatch.errors import StakewatchError
from stakewatch.programs.pins import GoBuild, NodeProject, Wheel

LOCK_FILE = "toolchains.lock"
# Pure Go needs no C compiler; a local toolchain is never replaced by one that Go would fetch.
GO_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }
)


@dataclass(frozen=True)
class Workshop:
    """`recipes` is a folder like `tools/` of this repository, `products` one like `.tools/`."""

    recipes: Path
    products: Path

    @property
    def binaries(self) -> Path:
        """Programs that `go build` made."""
        return self.products / "bin"

    @property
    def logs(self) -> Path:
        """The output of the last build of each recipe."""
        return self.products / "logs"

    def folder_of(self, source: Wheel | NodeProject) -> Path:
        """Return where a wheel or an npm project is unpacked."""
        return self.products / recipe_name(source)

    def stamp_path(self, source: GoBuild | Wheel | NodeProject) -> Path:
        """Return the file that says what the present products of a recipe were made of."""
        return self.products / "stamps" / f"{recipe_name(source)}.json"


@dataclass(frozen=True)
class Stamp:
    """What products were made of, and the size in bytes of each: a file of another size is not ours."""

    inputs: str
    toolchain: str
    sizes: Mapping[str, int]


def recipe_name(source: GoBuild | Wheel | NodeProject) -> str:
    """Return the name that logs, stamps and folders of a recipe carry."""
    return source.distribution if isinstance(source, Wheel) else source.folder


def find_workshop(start: Path | None = None) -> Workshop:
    """Return the workshop of the checkout that `start` (default: the current folder) lies in.

    Elsewhere, the recipes that lie beside the installed package serve; from a checkout with its own `.tools`,
    from an installed wheel with a folder in the user's cache.
    Raises StakewatchError when there are no recipes.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if _holds_recipes(folder / "tools"):
            return Workshop(recipes=folder / "tools", products=folder / ".tools")
    package = Path(stakewatch.__file__).resolve().parent
    if _holds_recipes(package.parent / "tools"):
        return Workshop(recipes=package.parent / "tools", products=package.parent / ".tools")
    if _holds_recipes(package / "tools"):
        return Workshop(recipes=package / "tools", products=user_cache() / "tools")
    raise StakewatchError(
        "the recipes of the programs (tools/) are not here, so none can be built",
        where=str(start),
        mend="put the programs on PATH, or run this in a checkout of stakewatch",
    )


def _holds_recipes(folder: Path) -> bool:
    return (folder / LOCK_FILE).is_file() and (folder / "prometheus" / "go.mod").is_file()


def user_cache() -> Path:
    """Return our folder in the user's cache; it need not be there."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification says that a relative path is to be ignored.
    root = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return root / "stakewatch"


def inputs_hash(workshop: Workshop, source: GoBuild | Wheel | NodeProject) -> str:
    """Return the hash of everything in this repository and of this machine that decides what a build makes.

    Raises StakewatchError when the recipe is missing or broken.
    """
    digest = hashlib.sha256()
    settings: dict[str, object] = {field.name: getattr(source, field.name) for field in fields(source)}
    settings["machine"] = [platform.system(), platform.machine()]
    if isinstance(source, GoBuild):
        settings["environment"] = GO_ENVIRONMENT
    digest.update(json.dumps(settings, sort_keys=True, default=dict).encode())
    if isinstance(source, Wheel):
        digest.update(locked_requirement(workshop, source.distribution).encode())
        return digest.hexdigest()
    folder = workshop.recipes / source.folder
    for path in _recipe_files(folder, source):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _recipe_files(folder: Path, source: GoBuild | NodeProject) -> list[Path]:
    names = ("go.mod", "go.sum") if isinstance(source, GoBuild) else ("package.json", "package-lock.json")
    for name in names:
        if not (folder / name).is_file():
            raise StakewatchError(
                f"the recipe has no {name}", where=str(folder), mend="restore it from version control"
            )
    files = [folder / name for name in names]
    if isinstance(source, GoBuild):
        files += sorted(path for path in folder.rglob("*.go") if not path.name.endswith("_test.go"))
    return files


def locked_requirement(workshop: Workshop, distribution: str) -> str:
    """Return the lines of one distribution, hashes included, from `toolchains.lock`.

    Raises StakewatchError when it is not there.
    """
    path = workshop.recipes / LOCK_FILE
    lines: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        starts = not line.startswith((" ", "#"))
        if lines and starts:
            break
        if lines or line.startswith(f"{distribution}=="):
            lines.append(line)
    if not lines:
        raise StakewatchError(
            f"{distribution} is not pinned", where=str(path), mend="restore the file from version control"
        )
    return "\n".join(lines) + "\n"


def locked_version(workshop: Workshop, distribution: str) -> str:
    """Return the version that `toolchains.lock` pins a distribution to."""
    return locked_requirement(workshop, distribution).split("==", 1)[1].split()[0]


def read_stamp(workshop: Workshop, source: GoBuild | Wheel | NodeProject) -> Stamp | None:
    """Return the stamp of a recipe's products, or None where there is none that can be read."""
    try:
        content = json.loads(workshop.stamp_path(source).read_bytes())
        return Stamp(
            inputs=str(content["inputs"]),
            toolchain=str(content["toolchain"]),
            sizes={str(name): int(size) for name, size in content["sizes"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # Cut off, foreign or absent all mean the same: make the products again.
        return None


def write_stamp(workshop: Workshop, source: GoBuild | Wheel | NodeProject, stamp: Stamp) -> None:
    """Write the stamp in one step; `sizes` are of files below `products`."""
    path = workshop.stamp_path(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(stamp), indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def products_of(workshop: Workshop, source: GoBuild | Wheel | NodeProject) -> dict[str, Path]:
    """Return the files that a recipe makes, by their path below `products`."""
    match source:
        case GoBuild():
            paths = [workshop.binaries / name for name in source.packages]
        case Wheel():
            paths = [workshop.folder_of(source) / source.executable]
        case NodeProject():
            paths = [workshop.folder_of(source) / source.entry_point]
    return {str(path.relative_to(workshop.products)): path for path in paths}


def sizes_of(products: Mapping[str, Path]) -> dict[str, int]:
    """Return the size of each product in bytes, -1 where it is missing."""
    return {name: path.stat().st_size if path.is_file() else -1 for name, path in products.items()}


def up_to_date(workshop: Workshop, source: GoBuild | Wheel | NodeProject) -> bool:
    """Tell whether the products are there, whole, and made of the present recipe."""
    stamp = read_stamp(workshop, source)
    if stamp is None or stamp.inputs != inputs_hash(workshop, source):
        return False
    return dict(stamp.sizes) == sizes_of(products_of(workshop, source))
