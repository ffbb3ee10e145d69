"""Groups of keys: what the exporter says of them, as the variables network and group choose them.

Several exporters may watch the same keys, so each function takes the greatest of what they say. The exporter
knows no cluster of a key: these series are chosen by network.
"""

CHOSEN = 'network=~"$network",group=~"$group"'
CHOSEN_NETWORK = 'network=~"$network"'


def group_series(metric: str, *matchers: str) -> str:
    """Return a selector of `metric` for the chosen groups, with further `matchers`."""
    return f"{metric}{{{','.join((CHOSEN, *matchers))}}}"


def of_networks(metric: str, *matchers: str) -> str:
    """Return a selector of `metric` for all groups of the chosen networks."""
    return f"{metric}{{{','.join((CHOSEN_NETWORK, *matchers))}}}"


def per_group(expression: str, *labels: str) -> str:
    """Return one value per group of keys, and per value of each of the further `labels`."""
    return f"max by ({', '.join(('network', 'group', *labels))}) ({expression})"


def per_network(expression: str, *labels: str) -> str:
    """Return one value per network, and per value of each of the further `labels`."""
    return f"max by ({', '.join(('network', *labels))}) ({expression})"


def total(expression: str) -> str:
    """Return one value per network over its groups."""
    return f"sum by (network) ({expression})"


def since(metric: str, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return what a counter of the groups gained in the time range, per group and `labels`."""
    return per_group(f"increase({group_series(metric, *matchers)}[$__range])", *labels)


def gained(metric: str, *matchers: str, labels: tuple[str, ...] = ()) -> str:
    """Return what a counter of the groups gains at each point of a graph, per group and `labels`."""
    return per_group(f"increase({group_series(metric, *matchers)}[$__rate_interval])", *labels)


def share_of(part: str, whole: str, *matchers: str) -> str:
    """Return the share that one counter has of another in the time range, per group that has any."""
    numerator = f"sum by (network, group) (increase({group_series(part, *matchers)}[$__range]))"
    return f"{numerator}\n/ (sum by (network, group) (increase({group_series(whole)}[$__range])) > 0)"
