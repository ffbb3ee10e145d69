"""How the exporter is scraped: one job and one target, the same in every Prometheus configuration of ours."""

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


def exporter_target(host: str, port: int, *, network: str, place: dict[str, str]) -> dict[str, object]:
    """Return the target of the exporter that listens on `host` and `port`, with the labels of the contract.

    `place` holds its `cluster` and `region`. An exporter that listens everywhere is asked on loopback.
    """
    address = _ANY_ADDRESS.get(host, host)
    shown = f"[{address}]" if ":" in address else address
    return {
        "targets": [f"{shown}:{port}"],
        "labels": {
            **place,
            "network": network,
            "role": "exporter",
            "implementation": "stakewatch",
            "instance": "exporter-1",
        },
    }
