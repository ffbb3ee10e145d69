"""A node that comes back as one of another chain: nothing is counted on, nothing is lost."""

from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import BeaconNode, ExecutionNode, FleetPlan, Group, ValidatorClient

from .exporting import Page, configured, exporting

PLAN = FleetPlan(
    beacon_nodes=(BeaconNode("beacon-1", "lighthouse", "execution-1", "m"),),
    execution_nodes=(ExecutionNode("execution-1", "geth", "m"),),
    validator_clients=(ValidatorClient("validators-1", "lighthouse", ("beacon-1",), "m"),),
    groups=(Group("alpha", "validators-1", 20),),
    validators=128,
)


def settled(page: Page) -> float:
    return sum(page.values("stakewatch_network_proposals_total"))


async def test_counters_stay_when_the_only_node_changes_its_chain() -> None:
    async with Fleet(PLAN) as fleet, exporting(configured(fleet)) as exporter:
        page = await exporter.wait_for("settled slots", lambda page: settled(page) > 0, 60)
        before = settled(page)
        await fleet.inject("down", instance="beacon-1")
        await exporter.wait_for(
            "a node that is down", lambda page: page.value("stakewatch_node_up", role="beacon") == 0
        )
        await fleet.clear("down")
        await fleet.inject("other_network", instance="beacon-1")
        page = await exporter.wait_for(
            "the other chain to be told",
            lambda page: page.value("stakewatch_node_check", instance="beacon-1", check="same_chain") == 0,
        )
        await exporter.wait_for_log("nodes_are_of_another_chain")
        assert settled(page) >= before
        await fleet.clear()
        await fleet.inject("down", instance="beacon-1")
        await exporter.wait_for(
            "a node that is down again", lambda page: page.value("stakewatch_node_up", role="beacon") == 0
        )
        await fleet.clear()
        now = settled(await exporter.page())
        await exporter.wait_for("more settled slots", lambda page: settled(page) > now, 60)
        await exporter.wait_for_log("nodes_are_of_our_chain_again")
