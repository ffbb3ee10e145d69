"""Generation: the modules in dashboards/ loaded by path, and the JSON that they make."""

import importlib.util
import json
import sys
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from stakewatch.bundle import generated as generated_files
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.generated import Difference
from stakewatch.errors import InputError
from stakewatch.grafana.board import Board
from stakewatch.grafana.setting import Setting


@dataclass(frozen=True)
class Source:
    """A module of dashboards/ and the board that it defines."""

    path: Path
    board: Board

    @property
    def file_name(self) -> str:
        """The name of the generated file."""
        return f"{self.path.stem}.json"

    def line_of(self, title: str) -> int:
        """Return the line on which a panel's title stands in the module, or 1 when it is computed."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return next((number for number, line in enumerate(lines, 1) if f'"{title}"' in line), 1)


def load_boards(bundle: Bundle) -> tuple[Source, ...]:
    """Return the boards of all modules in the bundle's dashboards/, by name.

    The modules are run: they are code of the bundle, like its tests.
    Raises InputError (file:line) when a module is broken or defines no board.
    """
    return tuple(load_board(path) for path in sorted(bundle.dashboards.glob("*.py")))


def load_board(path: Path) -> Source:
    """Return the board that the module at `path` defines as `dashboard`.

    Raises InputError (file:line) when the module is broken or defines no board.
    """
    specification = importlib.util.spec_from_file_location(f"stakewatch_dashboards.{path.stem}", path)
    if specification is None or specification.loader is None:
        raise InputError("this is not a Python module", where=str(path), mend="a board's file ends in .py")
    module = importlib.util.module_from_spec(specification)
    writes_bytecode = sys.dont_write_bytecode
    # dashboards/ is a folder of data to its readers: no __pycache__ beside the boards.
    sys.dont_write_bytecode = True
    try:
        specification.loader.exec_module(module)
    except InputError as error:
        raise InputError(error.what, where=f"{path}:{_line_in(path, error)}", mend=error.mend) from error
    except SyntaxError as error:
        raise InputError(
            f"this is not Python: {error.msg}", where=f"{path}:{error.lineno or 1}", mend="mend the line"
        ) from error
    except (Exception, SystemExit) as error:
        # A board is a person's code: whatever it raises is shown with its line, and it ends nobody's run.
        raise InputError(
            f"the module fails: {type(error).__name__}: {error}",
            where=f"{path}:{_line_in(path, error)}",
            mend="mend the line, then try again with `stakewatch dashboards`",
        ) from error
    finally:
        sys.dont_write_bytecode = writes_bytecode
    return Source(path=path, board=_board(module, path))


def generate(sources: tuple[Source, ...], setting: Setting) -> Mapping[str, str]:
    """Return the text of each generated file by its name.

    Raises InputError (file:line) when a board names an alert that no rule file has, or does not fit the grid.
    """
    return {source.file_name: text_of(generated(source, setting)) for source in sources}


def generated(source: Source, setting: Setting) -> dict[str, Any]:
    """Return the JSON of one board. Raises InputError (file:line) as `generate` does."""
    try:
        return source.board.generate(setting)
    except InputError as error:
        line = source.line_of(error.where or "")
        raise InputError(error.what, where=f"{source.path}:{line}", mend=error.mend) from error


def text_of(board: Mapping[str, Any]) -> str:
    """Return the text of a board's file: the same board is the same text."""
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def compare(files: Mapping[str, str], folder: Path) -> Iterator[Difference]:
    """Yield the files of `folder` that are missing, other than `files` says, or made by no module."""
    return generated_files.compare(files, folder, maker="its module", pattern="*.json")


def committed(bundle: Bundle) -> Path:
    """Return the folder of the generated files that people import by hand."""
    return bundle.dashboards / "json"


def _board(module: ModuleType, path: Path) -> Board:
    board = getattr(module, "dashboard", None)
    if isinstance(board, Board):
        return board
    found = "no name `dashboard`" if board is None else f"`dashboard` as {type(board).__name__}"
    raise InputError(
        f"the module defines {found}",
        where=f"{path}:1",
        mend="define `dashboard = Board(…)` with stakewatch.grafana.board.Board",
    )


def _line_in(path: Path, error: BaseException) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)
