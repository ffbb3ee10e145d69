"""Pictures of all boards for docs/pictures: the demo's fleet in the preview, taken by headless Chromium.

`python -m tests.bench.screenshots` starts the demo's fleet itself, and a Loki with lines as it might log
them. It needs the programs `chromium` and `loki`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.demo.quiet import WARM_UP_SECONDS, warmed_up
from stakewatch.errors import StakewatchError
from stakewatch.grafana.preview.page import write_pages
from stakewatch.grafana.preview.results import Sources
from stakewatch.grafana.preview.run import boards_of, preview_now
from stakewatch.grafana.remote import connect
from stakewatch.simulator.plan import DEMO
from tests.bench.log_lines import lines_of
from tests.bench.logs.stack import new_stack

_REPOSITORY = Path(__file__).parents[2]
_PICTURES = _REPOSITORY / "docs" / "pictures"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# What a reader of the docs sees of a board: its first rows, half as large as on a screen.
_SIZE = "1600,1150"
_SCALE = "0.5"
_TIMEOUT_SECONDS = 60


def browser() -> str:
    """Return the path of Chromium. Raises StakewatchError where there is none."""
    for name in _NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise StakewatchError("no chromium here: no pictures are taken", mend="install the package chromium")


def take(program: str, page: Path, picture: Path) -> None:
    """Take a picture of a page. Raises StakewatchError when the browser does not."""
    # Root has no user namespace to shut the browser in; it only opens our own file.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="screenshots-") as profile:
        command = [
            program,
            "--headless",
            *sandbox,
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--force-device-scale-factor={_SCALE}",
            f"--window-size={_SIZE}",
            f"--screenshot={picture}",
            page.as_uri(),
        ]
        try:
            answer = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise StakewatchError("the browser does not end", where=str(page)) from error
    if answer.returncode != 0 or not picture.exists():
        raise StakewatchError(f"no picture was taken: {answer.stderr.strip()[-300:]}", where=str(page))


def main() -> int:
    """Take the pictures, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.screenshots", description=__doc__)
    parser.parse_args()
    console = Console(highlight=False)
    bundle = Bundle(_REPOSITORY)
    try:
        program = browser()
        with tempfile.TemporaryDirectory(prefix="screenshots-") as temporary:
            folder = Path(temporary)
            boards = boards_of(bundle, Configuration())
            (folder / "logs").mkdir()
            with (
                warmed_up(bundle, folder / "demo", console.print) as fleet,
                new_stack(folder / "logs").loki() as loki,
            ):
                loki.push(lines_of(DEMO, time.time() - WARM_UP_SECONDS, WARM_UP_SECONDS))
                sources = Sources(connect(fleet.prometheus.url), connect(loki.url, who="Loki"))
                previews = preview_now(
                    sources, bundle, boards, lambda _: None, seconds=float(WARM_UP_SECONDS)
                )
            write_pages(previews, folder / "pages", "the demo's Prometheus")
            _PICTURES.mkdir(exist_ok=True)
            for preview in previews:
                picture = _PICTURES / f"{preview.board.uid}.png"
                take(program, folder / "pages" / preview.file_name, picture)
                console.print(f"{picture.name}: {picture.stat().st_size / 1000:.0f} kB")
    except StakewatchError as error:
        console.print(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
