"""The stakewatch.yaml that watches a large chain, with its keys in files."""

from pathlib import Path

from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.truth import group_name


def write_configuration(chain: MainnetChain, url: str, folder: Path, seconds_per_slot: float) -> Path:
    """Write stakewatch.yaml and a file of keys per group into a folder; return the former's path."""
    lines = [
        f"network: {chain.parameters.network}",
        "fleet:",
        "  cluster: bench",
        "  region: here",
        "  beacon_nodes:",
        "    - instance: beacon-1",
        "      implementation: lighthouse",
        f"      url: {url}",
        "  validator_clients:",
        "    - instance: validators-1",
        "      implementation: lighthouse",
        "      beacon_nodes: [beacon-1]",
        "  groups:",
    ]
    for number in range(chain.parameters.groups):
        name = group_name(number)
        (folder / f"{name}.keys").write_text(
            "".join(f"{key}\n" for key in chain.registry.watched_keys(number)), encoding="ascii"
        )
        lines += [
            f"    - name: {name}",
            "      validator_client: validators-1",
            f"      keys: {{file: {name}.keys}}",
        ]
    lines += [
        "exporter:",
        "  listen: 127.0.0.1:0",
        # As many rounds per slot as on a chain with slots of twelve seconds.
        f"  interval_seconds: {max(seconds_per_slot / 2, 0.5)}",
    ]
    path = folder / "stakewatch.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
