"""Keys that come and go while the exporter runs: figures follow, and counters of groups that stay go on."""

import dataclasses
from pathlib import Path

from stakewatch.bundle.configuration import load_configuration
from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.key_servers import KeymanagerServer
from stakewatch.simulator.mainnet.api import MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient
from stakewatch.simulator.servers import Server

from .exporting import exporting

PLAN = FleetPlan(
    beacon_nodes=(BeaconNode("beacon-1", "lighthouse", "execution-1", "m"),),
    execution_nodes=(ExecutionNode("execution-1", "geth", "m"),),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", ("beacon-1",), "m"),),
    groups=(Group("alpha", "validators-1", 20), Group("bravo", "validators-1", 10)),
    validators=128,
)


async def test_figures_follow_the_keys_and_counters_go_on(tmp_path: Path) -> None:
    keymanager = KeymanagerServer()
    server = Server(keymanager.application)
    await server.start()
    async with Fleet(PLAN) as fleet:
        bravo = list(fleet.keys("bravo"))
        keymanager.local = bravo[:6]
        path = tmp_path / "stakewatch.yaml"
        text = fleet.configuration_text(tmp_path)
        lines = text.splitlines()
        client = next(number for number, line in enumerate(lines) if "instance: validators-1" in line)
        indent = " " * (len(lines[client]) - len(lines[client].lstrip("- ")))
        lines.insert(client + 1, f'{indent}keymanager: {{url: "{server.url}"}}')
        text = "\n".join(line.replace("file: keys-bravo.txt", "keymanager: validators-1") for line in lines)
        path.write_text(text + "\n")
        configuration = load_configuration(path)
        assert configuration.groups[1].source is not None
        settings = dataclasses.replace(
            configuration.exporter, listen_port=0, interval_seconds=0.5, keys_interval_seconds=1.0
        )
        async with exporting(dataclasses.replace(configuration, exporter=settings)) as exporter:
            page = await exporter.wait_for(
                "the keys of the client",
                lambda page: sum(page.values("stakewatch_validators", group="bravo")) == 6,
            )
            assert page.value("stakewatch_validator_client_keys", validator_client="validators-1") == 6
            assert page.value("stakewatch_validator_client_keys_missing") == 20
            page = await exporter.wait_for(
                "settled duties of alpha",
                lambda page: sum(page.values("stakewatch_attestation_duties_total", group="alpha")) >= 20,
                60,
            )
            duties = page.value("stakewatch_attestation_duties_total", group="alpha")
            slots = sum(page.values("stakewatch_network_proposals_total"))
            keymanager.local = bravo
            page = await exporter.wait_for(
                "four more keys",
                lambda page: sum(page.values("stakewatch_validators", group="bravo")) == 10,
            )
            assert page.value("stakewatch_attestation_duties_total", group="alpha") >= duties
            assert sum(page.values("stakewatch_network_proposals_total")) >= slots
            keymanager.local = [*bravo[:3], *bravo[4:]]
            page = await exporter.wait_for(
                "one key less",
                lambda page: sum(page.values("stakewatch_validators", group="bravo")) == 9,
            )
            assert "keys_changed" in exporter.logged.getvalue()
    await server.stop()


OWNED = """\
network: benchnet
fleet:
  cluster: one
  region: two
  beacon_nodes:
    - {{instance: beacon-1, implementation: lighthouse, url: "{url}"}}
  validator_clients:
    - {{instance: validators-1, implementation: lighthouse, beacon_nodes: [beacon-1]}}
  groups:
    - name: owned
      validator_client: validators-1
      keys: {{withdrawal_credentials: ["{address}", "{whole}"]}}
exporter: {{listen: "127.0.0.1:0", interval_seconds: 0.5, keys_interval_seconds: 1}}
"""


async def test_all_validators_of_withdrawal_credentials_are_watched(tmp_path: Path) -> None:
    chain = MainnetChain(MainnetParameters(validators=3000, active=2400, watched=60, groups=3, epochs=5))
    node = MainnetApi(chain, seconds_per_slot=1, epochs_past=3)
    server = Server(node.application)
    await server.start()
    try:
        credentials = chain.registry.records["withdrawal_credentials"]
        first, second = int(chain.registry.watched[3]), int(chain.registry.watched[4])
        path = tmp_path / "stakewatch.yaml"
        path.write_text(
            OWNED.format(
                url=server.url,
                address=f"0x{credentials[first].tobytes()[12:].hex()}",
                whole=f"0x{credentials[second].tobytes().hex()}",
            )
        )
        async with exporting(load_configuration(path)) as exporter:
            page = await exporter.wait_for(
                "both validators",
                lambda page: sum(page.values("stakewatch_validators", group="owned")) == 2,
            )
            named = [labels for name, labels, _ in page.samples if name == "stakewatch_validator_active"]
            if named:
                assert {labels["validator_index"] for labels in named} == {str(first), str(second)}
            assert "added=2" in exporter.logged.getvalue()
    finally:
        await server.stop()
