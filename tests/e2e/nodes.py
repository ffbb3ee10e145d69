"""What the exporter says of each node, against what the node answers itself."""

import time
from dataclasses import dataclass

import requests

from tests.e2e.chain import ask, beacon_peers, call, execution_peers
from tests.e2e.devnet import CHAIN_ID, SECONDS_PER_SLOT, Devnet, Pair
from tests.e2e.installation import CLUSTER, MINIMUM_PEERS, NETWORK, REGION
from tests.e2e.ledger import Chapter
from tests.e2e.scrape import Scrape, scrape

_ATTEMPTS = 80
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Answer:
    """One figure that the exporter should show; None where it should show none."""

    metric: str
    instance: str
    value: float | None
    check: str = ""

    @property
    def name(self) -> str:
        """How the check of this figure is called."""
        return f"{self.metric}{f'({self.check})' if self.check else ''} of {self.instance}"

    def seen_in(self, page: Scrape) -> float | None:
        """Return what the exporter shows."""
        labels = {"instance": self.instance} | ({"check": self.check} if self.check else {})
        return page.value(self.metric, **labels)


def compare_nodes(
    chapter: Chapter,
    chain: Devnet,
    pairs: tuple[Pair, ...],
    exporter: str,
) -> None:
    """Record whether the exporter shows of these pairs what they answer.

    The chain moves on while we ask and the exporter asks once a second, so this looks for one moment at which
    nothing moved and everything agrees; the last one counts when there is none.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        before = _answers(chain, pairs)
        page = scrape(f"{exporter}/metrics")
        after = _answers(chain, pairs)
        if before == after and all(answer.seen_in(page) == answer.value for answer in after):
            break
        if attempt < _ATTEMPTS:
            time.sleep(_PAUSE_SECONDS)
    for answer in after:
        chapter.equal(answer.name, answer.value, answer.seen_in(page))
    for pair in pairs:
        _compare_descriptions(chapter, pair, page)
        _compare_health(chapter, pair, page, exporter)


def _answers(chain: Devnet, pairs: tuple[Pair, ...]) -> tuple[Answer, ...]:
    newest_payload = max(_newest_payload(pair) for pair in pairs)
    answers: list[Answer] = []
    for pair in pairs:
        answers.extend(_beacon_answers(chain, pair))
        answers.extend(_execution_answers(pair, newest_payload))
    return tuple(answers)


def _newest_payload(pair: Pair) -> int:
    url = f"{pair.beacon_url}/eth/v2/beacon/blocks/head"
    answer = requests.get(url, timeout=4.0)
    answer.raise_for_status()
    return int(answer.json()["data"]["message"]["body"]["execution_payload"]["block_number"])


def _beacon_answers(chain: Devnet, pair: Pair) -> tuple[Answer, ...]:
    syncing = ask(pair, "node/syncing")
    peers = beacon_peers(pair)
    head = int(ask(pair, "beacon/headers/head")["header"]["message"]["slot"])
    finality = ask(pair, "beacon/states/head/finality_checkpoints")
    genesis = int(ask(pair, "beacon/genesis")["genesis_time"])
    enough_peers = float(peers >= MINIMUM_PEERS)
    values: dict[str, float | None] = {
        "stakewatch_node_up": 1,
        "stakewatch_node_healthy": enough_peers,
        "stakewatch_node_peers": peers,
        "stakewatch_node_syncing": float(syncing["is_syncing"]),
        "stakewatch_beacon_head_slot": head,
        "stakewatch_beacon_head_timestamp_seconds": genesis + head * SECONDS_PER_SLOT,
        "stakewatch_beacon_sync_distance_slots": chain.clock_slot() - head,
        "stakewatch_beacon_optimistic": float(syncing["is_optimistic"]),
        # This version of Lodestar does not say whether its execution node is offline.
        "stakewatch_beacon_execution_offline": None,
        "stakewatch_beacon_justified_epoch": int(finality["current_justified"]["epoch"]),
        "stakewatch_beacon_finalized_epoch": int(finality["finalized"]["epoch"]),
    }
    checks = {"peers": enough_peers} | dict.fromkeys(
        ("synced", "execution_synced", "head_advancing", "same_chain"), 1.0
    )
    return (
        *(Answer(metric, pair.beacon, value) for metric, value in values.items()),
        *(Answer("stakewatch_node_check", pair.beacon, value, check) for check, value in checks.items()),
    )


def _execution_answers(pair: Pair, newest_payload: int) -> tuple[Answer, ...]:
    block = call(pair, "eth_getBlockByNumber", ("latest", False))
    number = int(block["number"], 16)
    values: dict[str, float | None] = {
        "stakewatch_node_up": 1,
        "stakewatch_node_healthy": 1,
        "stakewatch_node_peers": execution_peers(pair),
        "stakewatch_node_syncing": float(call(pair, "eth_syncing") is not False),
        "stakewatch_execution_head_block": number,
        "stakewatch_execution_head_timestamp_seconds": int(block["timestamp"], 16),
        "stakewatch_execution_chain_id": int(call(pair, "eth_chainId"), 16),
        "stakewatch_execution_behind_blocks": newest_payload - number,
    }
    checks = ("synced", "execution_synced", "peers", "head_advancing", "same_chain")
    return (
        *(Answer(metric, pair.execution, value) for metric, value in values.items()),
        *(Answer("stakewatch_node_check", pair.execution, 1, check) for check in checks),
    )


def _compare_descriptions(
    chapter: Chapter,
    pair: Pair,
    page: Scrape,
) -> None:
    versions = {
        pair.beacon: ask(pair, "node/version")["version"],
        pair.execution: call(pair, "web3_clientVersion"),
    }
    for instance, version in versions.items():
        seen = page.label("stakewatch_node_info", "version", instance=instance)
        chapter.equal(f"version of {instance}", version, seen)
    expected = {
        "network": NETWORK,
        "cluster": CLUSTER,
        "region": REGION,
        "role": "beacon",
        "implementation": "lodestar",
        "instance": pair.beacon,
    }
    found = page.select("stakewatch_node_up", instance=pair.beacon)
    chapter.equal(f"labels of {pair.beacon}", expected, dict(found[0][0]) if found else None)
    paired = page.label("stakewatch_beacon_execution_pair_info", "execution_node", instance=pair.beacon)
    chapter.equal(f"execution node of {pair.beacon}", pair.execution, paired)
    chain_id = page.value("stakewatch_execution_chain_id", instance=pair.execution)
    chapter.equal(f"chain id of {pair.execution} is the genesis file's", CHAIN_ID, chain_id)


def _compare_health(
    chapter: Chapter,
    pair: Pair,
    page: Scrape,
    exporter: str,
) -> None:
    for instance in (pair.beacon, pair.execution):
        healthy = page.value("stakewatch_node_healthy", instance=instance)
        answer = requests.get(f"{exporter}/health/{instance}", timeout=4.0)
        expected = requests.codes.ok if healthy == 1 else requests.codes.service_unavailable
        chapter.equal(f"/health/{instance} says what the metric says", expected, answer.status_code)
