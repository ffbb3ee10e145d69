"""How the exporter is scraped: one job and one target, the same in every Prometheus configuration of ours."""

from stakewatch.bundle.configuration import ExporterSettings

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a person may have configured


def exporter_job(**discovery: object) -> dict[str, object]:
    """Return the scrape job `exporter`; `discovery` is its targets, such as `static_configs=[…]`."""
    return {
        "job_name": "exporter",
        # Its node series carry the labels of the node that they speak about.
        "honor_labels": True,
        **discovery,
        # Two exporters that watch one node say so in series that differ by this label only.
        "relabel_configs": [
            {"source_labels": ["network", "instance"], "separator": "/", "target_label": "exporter"}
        ],
    }


def exporter_address(settings: ExporterSettings) -> str:
    """Return HOST:PORT at which Prometheus asks the exporter: as configured, else where it listens.

    An exporter that listens everywhere is asked on loopback.
    """
    if settings.address is not None:
        return settings.address
    host = _ANY_ADDRESS.get(settings.listen_host, settings.listen_host)
    return f"[{host}]:{settings.listen_port}" if ":" in host else f"{host}:{settings.listen_port}"


def exporter_target(address: str, *, network: str, place: dict[str, str]) -> dict[str, object]:
    """Return the target of the exporter at `address`, with the labels of the contract.

    `place` holds its `cluster` and `region`.
    """
    return {
        "targets": [address],
        "labels": {
            **place,
            "network": network,
            "role": "exporter",
            "implementation": "stakewatch",
            "instance": "exporter-1",
        },
    }
