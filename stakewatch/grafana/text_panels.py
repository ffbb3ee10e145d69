"""Panels of text: words for the reader, and lines of logs."""

from dataclasses import dataclass
from typing import Any

from stakewatch.grafana.panels import Panel
from stakewatch.grafana.queries import LogQuery, Query
from stakewatch.grafana.setting import Setting


@dataclass(frozen=True, kw_only=True)
class Logs(Panel):
    """Lines of logs, the newest first."""

    queries: tuple[LogQuery, ...]
    unit: str = "none"

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        return self._own(
            "logs",
            setting,
            {
                "dedupStrategy": "none",
                "enableLogDetails": True,
                "prettifyLogMessage": False,
                "showCommonLabels": False,
                "showLabels": False,
                "showTime": True,
                "sortOrder": "Descending",
                "wrapLogMessage": True,
            },
        )


@dataclass(frozen=True, kw_only=True)
class Text(Panel):
    """Words in Markdown: what a reader should do next."""

    content: str
    unit: str = "none"
    queries: tuple[Query, ...] = ()

    def render(self, setting: Setting) -> dict[str, Any]:
        """Return Grafana's form."""
        panel = self._own("text", setting, {"content": self.content, "mode": "markdown"})
        return {key: value for key, value in panel.items() if key not in {"datasource", "fieldConfig"}}
