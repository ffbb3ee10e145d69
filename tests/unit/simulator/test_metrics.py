"""Every metric of the simulator exists in the real program, with these labels and this type."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stakewatch.catalogue.components import Component, load_component
from stakewatch.simulator.exposition import Family, Sample, gauge, histogram, render, summary
from stakewatch.simulator.fleet import Fleet
from tests.unit.simulator.small import SMALL

COMPONENTS = Path(__file__).parents[3] / "catalogue" / "components"
GETH = Path(__file__).parents[2] / "samples" / "geth-1.17.prom"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
_LINE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
# What the text format adds by itself.
IMPLIED_LABELS = {"le", "quantile"}


def scrapes(fleet: Fleet) -> Iterator[tuple[str, str, bytes]]:
    """Yield whose metrics, in which component of the catalogue, and the text."""
    for process in fleet.plan.processes:
        role = "validator" if process.instance.startswith("validators") else "beacon"
        component = (
            process.implementation
            if process.instance.startswith("execution")
            else f"{process.implementation}_{role}"
        )
        yield process.instance, component, fleet.scrapes.process(process.instance)
    yield "machine-1", "node_exporter", fleet.scrapes.machine("machine-1")
    yield "kubelet", "cadvisor-kubelet", fleet.scrapes.kubelet()


def samples(text: bytes) -> list[tuple[str, dict[str, str], float]]:
    """Return names, labels and values; prometheus-client's own parser would rename counters."""
    found = []
    for line in text.decode().splitlines():
        if not line.startswith("#"):
            matched = _LINE.fullmatch(line)
            assert matched, line
            labels = {
                name: re.sub(r"\\(.)", lambda one: "\n" if one[1] == "n" else one[1], value)
                for name, value in _LABEL.findall(matched["labels"] or "")
            }
            found.append((matched["name"], labels, float(matched["value"])))
    return found


def value(text: bytes, name: str, **labels: str) -> float:
    found = [
        value for sample, its, value in samples(text) if sample == name and labels.items() <= its.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def types(text: bytes) -> dict[str, str]:
    lines = [line.split() for line in text.decode().splitlines() if line.startswith("# TYPE ")]
    assert len({line[2] for line in lines}) == len(lines), "a name has two TYPE lines"
    return {line[2]: line[3] for line in lines}


@pytest.fixture
def fleet() -> Fleet:
    fleet = Fleet(SMALL, clock="hand")
    fleet.advance_to(fleet.chain.slot + 20)
    return fleet


def unknown(component: Component, text: bytes) -> Iterator[str]:
    """Yield what a scrape has that the component does not."""
    kinds = types(text)
    for name, labels, _ in samples(text):
        metrics = component.find(name)
        if not metrics:
            yield f"{component.name} has no {name}"
        for metric in metrics:
            for label in labels.keys() - IMPLIED_LABELS:
                if metric.has_label(name, label) is False:
                    yield f"{component.name}: {name} has no label {label}"
            kind = kinds.get(metric.name)
            if kind is not None and metric.type is not None and kind != metric.type:
                yield f"{component.name}: {metric.name} is a {metric.type}, not a {kind}"
            missing = set(metric.labels or ()) - labels.keys() - IMPLIED_LABELS
            if missing and metric.dynamic_labels is None:
                yield f"{component.name}: {name} lacks {sorted(missing)}"


def test_every_name_label_and_type_is_in_the_catalogue(fleet: Fleet) -> None:
    found = [
        fault
        for _, component, text in scrapes(fleet)
        for fault in unknown(load_component(COMPONENTS / f"{component}.json"), text)
    ]
    assert sorted(set(found)) == []


def test_the_check_against_the_catalogue_can_fail() -> None:
    component = load_component(COMPONENTS / "geth.json")
    wrong = render([gauge("chain_head_blok", 1), gauge("p2p_peers", 1, state="Connected")])
    assert set(unknown(component, wrong)) == {
        "geth has no chain_head_blok",
        "geth: p2p_peers has no label state",
    }


def test_a_parser_of_the_text_format_reads_every_scrape(fleet: Fleet) -> None:
    for instance, _, text in scrapes(fleet):
        read = sum(len(family.samples) for family in text_string_to_metric_families(text.decode()))
        assert read == len(samples(text)), instance


def test_no_series_stands_twice(fleet: Fleet) -> None:
    for instance, _, text in scrapes(fleet):
        series = [(name, tuple(sorted(labels.items()))) for name, labels, _ in samples(text)]
        assert len(series) == len(set(series)), instance


def test_every_name_of_geth_is_in_a_real_scrape_or_needs_a_later_fork(fleet: Fleet) -> None:
    real = {line.split()[2] for line in GETH.read_text(encoding="utf-8").splitlines() if "# TYPE" in line}
    ours = set(types(fleet.scrapes.process("execution-1")))
    # The sample's chain was at Capella, whose Engine API methods have lower versions.
    assert {name for name in ours - real if not name.startswith("rpc_duration_engine_")} == set()


def test_heads_and_peers_are_those_of_the_nodes_views(fleet: Fleet) -> None:
    peers = {
        "beacon-1": "libp2p_peers",
        "beacon-4": "libp2p_peers",
        "beacon-5": "nbc_peers",
        "execution-1": "p2p_peers",
        "execution-2": "ethereum_peer_count",
        "execution-3": "ethereum_peer_count",
        "execution-4": "reth_network_connected_peers",
        "execution-5": "p2p_peers",
    }
    for instance, name in peers.items():
        assert value(fleet.scrapes.process(instance), name) == fleet.view(instance).peers
    connected = value(fleet.scrapes.process("beacon-2"), "p2p_peer_count", state="Connected")
    assert connected == fleet.view("beacon-2").peers
    for number in range(1, 6):
        text = fleet.scrapes.process(f"beacon-{number}")
        assert value(text, "beacon_head_slot") == fleet.view(f"beacon-{number}").head_block.slot
        assert value(text, "beacon_finalized_epoch") == fleet.view(f"beacon-{number}").epoch.finalized.epoch


async def test_a_frozen_prysm_looks_synced_in_its_own_metrics() -> None:
    async with Fleet(SMALL, clock="hand") as fleet:
        await fleet.inject("frozen_head", instance="beacon-2")
        fleet.advance_to(fleet.chain.slot + 6)
        text = fleet.scrapes.process("beacon-2")
        assert value(text, "beacon_clock_time_slot") == value(text, "beacon_head_slot")
        assert value(text, "beacon_head_slot") < fleet.chain.slot


def test_a_prysm_validator_client_has_the_beacon_nodes_metrics_frozen_at_0(fleet: Fleet) -> None:
    text = fleet.scrapes.process("validators-2")
    for name in ("beacon_head_slot", "beacon_clock_time_slot", "beacon_finalized_epoch"):
        assert value(text, name) == 0


def test_validator_clients_count_what_their_keys_did(fleet: Fleet) -> None:
    attested = int(fleet.signing.attested[:20].sum())
    assert attested == 20 * 20 // 8 or attested in range(40, 61)
    assert value(fleet.scrapes.process("validators-1"), "vc_signed_attestations_total") == attested
    keys = fleet.keys("bravo")
    prysm = fleet.scrapes.process("validators-2")
    told = [value(prysm, "validator_successful_attestations", pubkey=key) for key in keys]
    assert told == fleet.signing.attested[20:30].tolist()
    balance = value(prysm, "validator_balance", pubkey=keys[0])
    assert 32 <= balance < 32.1


def test_geths_timers_are_emptied_by_a_scrape_and_come_back_with_a_block(fleet: Fleet) -> None:
    fleet.scrapes.process("execution-1")
    second = fleet.scrapes.process("execution-1")
    names = {name for name, _, _ in samples(second)}
    assert "chain_inserts" not in names
    assert value(second, "rpc_duration_engine_newPayloadV4_success_count") == 0
    assert value(second, "rpc_duration_all_count") > 0
    before = fleet.chain.block_at_or_before(fleet.chain.slot).slot
    while fleet.chain.block_at_or_before(fleet.chain.slot).slot == before:
        fleet.advance_to(fleet.chain.slot + 1)
    third = fleet.scrapes.process("execution-1")
    assert value(third, "chain_inserts_count") >= 1
    assert value(third, "chain_inserts", quantile="0.5") > 1_000_000


def test_counters_never_fall(fleet: Fleet) -> None:
    for instance, component, text in list(scrapes(fleet)):
        inventory = load_component(COMPONENTS / f"{component}.json")
        before = {(name, tuple(labels.items())): value for name, labels, value in samples(text)}
        fleet.advance_to(fleet.chain.slot + 1)
        after = {
            (name, tuple(labels.items())): value
            for whose, _, later in scrapes(fleet)
            if whose == instance
            for name, labels, value in samples(later)
        }
        for (name, labels), number in before.items():
            (metric, *_) = inventory.find(name)
            if metric.type == "counter" and not metric.resets_on_scrape:
                assert after[name, labels] >= number, (instance, name)


def test_memory_of_containers_is_calm_and_mapped_databases_are_not_demand(fleet: Fleet) -> None:
    text = fleet.scrapes.kubelet()
    for process in fleet.plan.processes:
        labels = {"pod": f"{process.instance}-0", "container": process.implementation}
        limit = value(text, "container_spec_memory_limit_bytes", **labels)
        working_set = value(text, "container_memory_working_set_bytes", **labels) / limit
        rss = value(text, "container_memory_rss", **labels) / limit
        assert rss < 0.7
        assert (working_set > 0.9) is (process.implementation in {"erigon", "reth"})


def test_the_kubelet_shows_pods_sandboxes_and_the_machine_beside_containers(fleet: Fleet) -> None:
    limits = [
        (labels, value)
        for name, labels, value in samples(fleet.scrapes.kubelet())
        if name == "container_spec_memory_limit_bytes"
    ]
    unnamed = [labels for labels, value in limits if not labels["container"] and value == 0]
    assert {labels["id"] for labels in unnamed} >= {"/"}
    assert sum(labels["name"] == "pause" for labels in unnamed) == len(fleet.plan.processes)
    assert len(limits) == 1 + 3 * len(fleet.plan.processes)


async def test_memory_faults_are_seen_where_they_are_and_nowhere_else() -> None:
    async with Fleet(SMALL, clock="hand") as fleet:
        await fleet.inject("machine_memory", machine="machine-2", ratio=0.92)
        await fleet.inject("container_memory", instance="execution-4", ratio=0.95)
        for name, expected in {"machine-1": False, "machine-2": True}.items():
            text = fleet.scrapes.machine(name)
            available = value(text, "node_memory_MemAvailable_bytes") / value(
                text, "node_memory_MemTotal_bytes"
            )
            assert (available < 0.15) is expected
        kubelet = fleet.scrapes.kubelet()
        labels = {"pod": "execution-4-0", "container": "reth"}
        limit = value(kubelet, "container_spec_memory_limit_bytes", **labels)
        assert value(kubelet, "container_memory_rss", **labels) == pytest.approx(0.95 * limit)
        own = value(fleet.scrapes.process("execution-4"), "reth_process_resident_memory_bytes")
        assert own == pytest.approx(0.95 * limit)
        await fleet.inject("down", instance="execution-4")
        names = {
            (labels["pod"], labels["container"])
            for _, labels, _ in samples(fleet.scrapes.kubelet())
            if "pod" in labels
        }
        assert ("execution-4-0", "reth") not in names
        assert ("execution-4-0", "") in names


def test_a_restart_sets_counters_and_start_time_anew(fleet: Fleet) -> None:
    started = value(fleet.scrapes.process("validators-1"), "process_start_time_seconds")
    fleet.scrapes.restarted("validators-1")
    text = fleet.scrapes.process("validators-1")
    assert value(text, "process_start_time_seconds") > started
    assert fleet.signing.attested[:20].sum() == 0
    assert "vc_signed_attestations_total" not in types(text)
    assert fleet.signing.attested[20:30].sum() > 0


def test_the_text_format_escapes_what_would_break_it() -> None:
    text = render([Family("x", "gauge", (Sample("x", 0.5, {"a": 'quote " slash \\ line \n end'}),))])
    assert samples(text) == [("x", {"a": 'quote " slash \\ line \n end'}, 0.5)]


def test_a_histogram_is_cumulative_and_ends_in_its_count() -> None:
    text = render([histogram("x_seconds", 100, 0.08, [{"method": "a"}])])
    buckets = [(labels["le"], value) for name, labels, value in samples(text) if name == "x_seconds_bucket"]
    assert [value for _, value in buckets] == sorted(value for _, value in buckets)
    bound, count = buckets[-1]
    assert (bound, int(count)) == ("+Inf", 100)
    assert value(text, "x_seconds_sum") == pytest.approx(8.0)


def test_a_summary_without_a_total_has_no_sum() -> None:
    names = {name for name, _, _ in samples(render([summary("x", {0.5: 1.0}, 3, None)]))}
    assert names == {"x", "x_count"}
