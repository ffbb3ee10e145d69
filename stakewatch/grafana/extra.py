"""The extra `dashboards`: the packages that only this room needs."""

from importlib.util import find_spec

from stakewatch.errors import StakewatchError

PACKAGES = ("grafanalib", "grafana_foundation_sdk")


def require_extra() -> None:
    """Raise StakewatchError with the mend when a package of the extra is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise StakewatchError(
            f"boards need the missing package {missing[0]}", mend='run: pip install "stakewatch[dashboards]"'
        )
