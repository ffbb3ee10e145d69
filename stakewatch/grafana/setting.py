"""What a board is generated for: the alerts whose thresholds it draws, and the addresses that it links to."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from stakewatch.bundle.configuration import Configuration, Urls
from stakewatch.bundle.folder import Bundle
from stakewatch.errors import InputError
from stakewatch.grafana.thresholds import Alert, load_alerts


@dataclass(frozen=True)
class Setting:
    """Alerts by name, as the rule files and the user's overrides define them, and the bases of links."""

    alerts: Mapping[str, Alert]
    urls: Urls

    def alert(self, name: str) -> Alert:
        """Return the alert `name`. Raises InputError when no rule file has it."""
        if name in self.alerts:
            return self.alerts[name]
        close = get_close_matches(name, self.alerts, n=1)
        mend = f"did you mean {close[0]}?" if close else "name an alert of a file in rules/"
        raise InputError(f"no rule file has the alert {name}", mend=mend)


def setting_of(bundle: Bundle, configuration: Configuration) -> Setting:
    """Return the setting of a bundle as `configuration` changes it.

    Raises InputError when a rule file is wrong.
    """
    return Setting(alerts=load_alerts(bundle.rules, configuration), urls=configuration.urls)
