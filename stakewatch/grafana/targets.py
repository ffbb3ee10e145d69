"""The build target of this room: boards with the user's addresses and thresholds."""

from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch.bundle.folder import Bundle
from stakewatch.bundle.generated import write
from stakewatch.bundle.targets import target
from stakewatch.grafana.extra import require_extra


@target("dashboards", "Grafana dashboards as JSON, with your thresholds and links")
def dashboards(bundle: Bundle, configuration: Configuration, folder: Path) -> None:
    """Write one file per board into `folder`.

    Raises InputError when a module of dashboards/ or a rule file is wrong, StakewatchError without the extra.
    """
    require_extra()
    # Only now, so that the other targets are built without the extra too.
    from stakewatch.grafana.generation import generate, load_boards  # noqa: PLC0415
    from stakewatch.grafana.setting import setting_of  # noqa: PLC0415

    write(generate(load_boards(bundle), setting_of(bundle, configuration)), folder)
