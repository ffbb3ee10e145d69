"""Topology: which validator client uses which beacon node, as configured and as the exporter sees it."""

from stakewatch.grafana.queries import Query

# The labels of one way from a client to a node.
LINK = ("validator_client", "beacon_node")


def in_use(configured: str, active: str) -> Query:
    """Return each configured way of a network, 1 where it is in use, with its `source`.

    `configured` and `active` have one value per network and way.
    """
    way = ", ".join(("network", *LINK))
    return Query(f"{configured}\n* on ({way}) group_left (source)\ntopk by ({way}) (1, {active})")
