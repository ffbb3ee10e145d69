"""The build target of this room: shippers and Loki for your fleet."""

import shutil
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.generated import write
from stakewatch.bundle.targets import target
from stakewatch.logs.loki_configuration import loki_files
from stakewatch.logs.pipelines import load_pipelines, pipelines_path
from stakewatch.logs.rendering import rendered


@target("logs", "Alloy, Promtail and Loki: configurations, and DaemonSets for a cluster")
def build_logs(bundle: Bundle, configuration: Configuration, folder: Path) -> None:
    """Write the shippers with the place and network of stakewatch.yaml, and Loki with its rules beside them.

    A bundle without pipelines gets an empty folder. Raises InputError when the pipelines are wrong.
    """
    path = pipelines_path(bundle)
    if not path.is_file():
        return
    write(rendered(load_pipelines(path), configuration), folder)
    for file in loki_files(bundle):
        shutil.copyfile(file, folder / file.name)
    for file in sorted((path.parent / "rules").glob("*.yaml")):
        # The folder of Loki's only tenant.
        (folder / "rules" / "fake").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / "rules" / "fake" / file.name)
