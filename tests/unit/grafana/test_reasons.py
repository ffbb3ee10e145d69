"""Why series are not there: the reason that is said, for each way of missing."""

from pathlib import Path

import pytest

from stakewatch.catalogue import load_catalogue
from stakewatch.grafana.fleet import Fleet, Gap, Process
from stakewatch.grafana.reasons import Cause, Judge, Reason
from stakewatch.grafana.supply import Records, wanted_by
from stakewatch.promql import parse

CATALOGUE = load_catalogue(Path(__file__).parents[3] / "catalogue")
GETH = Process("execution", "geth")
LIGHTHOUSE = Process("beacon", "lighthouse")


def fleet(
    *processes: Process,
    components: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    watched: tuple[Process, ...] = (),
    gaps: tuple[Gap, ...] = (),
) -> Fleet:
    return Fleet(
        names=frozenset((*names, "up") if processes else names),
        targets=dict.fromkeys(processes, 1),
        answering=dict.fromkeys(processes, 1),
        watched=frozenset(watched),
        components=frozenset(components),
        gaps=gaps,
    )


def reason(selector: str, seen: Fleet, roles: tuple[str, ...] = ()) -> Reason:
    judge = Judge(seen, CATALOGUE, {"instance:our_record:sum"}, frozenset(roles))
    (wanted,) = wanted_by((parse(selector),), Records({}))
    return judge.lack(wanted).reason


def test_a_role_of_which_nothing_is_scraped_is_named_with_the_label_that_mends_it() -> None:
    found = reason('libp2p_peers{role="beacon"}', fleet(GETH, components=("geth",)))
    assert (found.cause, found.said) == (Cause.NOT_SCRAPED, "no beacon node is scraped")
    assert 'role="beacon"' in found.mend
    assert not found.needless


def test_an_implementation_without_the_signal_is_no_fault() -> None:
    found = reason('sync{implementation="erigon"}', fleet(GETH, components=("geth",)))
    assert found.cause is Cause.NO_SUCH_SIGNAL
    assert found.said == "your execution nodes are geth: only Erigon has that signal"
    assert found.needless


def test_nodes_that_only_the_exporter_watches_count_as_the_fleet() -> None:
    found = reason(
        'sync{implementation="erigon"}',
        fleet(components=("stakewatch",), watched=(Process("execution", "reth"),)),
    )
    assert found.said == "your execution nodes are reth: only Erigon has that signal"


def test_a_platform_program_that_is_not_scraped_is_named() -> None:
    found = reason("kube_pod_info", fleet(GETH))
    assert (found.cause, found.said) == (Cause.NOT_SCRAPED, "kube-state-metrics is not scraped")
    found = reason("node_cpu_seconds_total", fleet(GETH))
    assert found.said == "node_exporter is not scraped"


def test_the_exporter_is_missing_or_watches_no_such_node_or_has_not_said_it_yet() -> None:
    assert reason("stakewatch_node_up", fleet(GETH)).said == "stakewatch-exporter is not scraped"
    exporter = fleet(components=("stakewatch",), names=("stakewatch_node_up",))
    watches_none = reason('stakewatch_node_up{role="beacon"}', exporter)
    assert (watches_none.cause, watches_none.said) == (
        Cause.NOT_WATCHED,
        "the exporter watches no beacon node",
    )
    assert reason("stakewatch_validators", exporter).cause is Cause.NOT_SAID


@pytest.mark.parametrize("selector", ['up{role="signer"}', 'stakewatch_node_up{role="signer"}'])
def test_what_not_everybody_has_is_needless_until_the_configuration_names_it(selector: str) -> None:
    found = reason(selector, fleet(GETH))
    assert (found.said, found.needless) == ("no remote signer is scraped", True)
    assert not reason(selector, fleet(GETH), roles=("signer",)).needless


def test_labels_of_the_contract_that_are_missing_are_named_with_the_job() -> None:
    gaps = (
        Gap("geth", "role", "execution", "", "my-geth"),
        Gap("geth", "implementation", "geth", "el", "my-geth"),
    )
    seen = fleet(components=("geth",), names=("p2p_peers", "up"), gaps=gaps)
    for selector in ('p2p_peers{role="execution",implementation="geth"}', 'up{role="execution"}'):
        found = reason(selector, seen)
        assert found.cause is Cause.WITHOUT_LABEL, selector
        assert found.said == "Geth is scraped by the job my-geth without labels of the contract"
        assert 'implementation="geth", role="execution"' in found.mend


def test_only_the_gaps_of_those_who_expose_it_are_named() -> None:
    gaps = (
        Gap("geth", "role", "execution", "", "my-geth"),
        Gap("lighthouse_beacon", "role", "beacon", "", "my-beacon"),
        Gap("geth", "network", "mainnet", "", "a-job-of-geth"),
    )
    seen = fleet(components=("geth", "lighthouse_beacon"), names=("p2p_peers", "up"), gaps=gaps)
    found = reason('p2p_peers{role="execution",implementation="geth"}', seen)
    assert found.said == "Geth is scraped by the job my-geth without labels of the contract"
    assert found.mend.startswith('give its targets role="execution" (')


def test_labels_of_pods_that_staking_targets_lack_are_named() -> None:
    found = reason('up{role="execution",pod!=""}', fleet(GETH, components=("geth",)))
    assert found.cause is Cause.WITHOUT_LABEL
    assert found.said == "targets of staking processes lack what is asked of pod"
    found = reason(
        'p2p_peers{role="execution",pod!=""}', fleet(GETH, components=("geth",), names=("p2p_peers",))
    )
    assert found.cause is Cause.WITHOUT_LABEL
    assert "pod" in found.said


def test_a_target_of_another_implementation_is_named() -> None:
    found = reason('up{role="execution",implementation="besu"}', fleet(GETH, components=("geth",)))
    assert (found.cause, found.needless) == (Cause.NO_SUCH_SIGNAL, True)
    assert "your execution nodes are geth" in found.said


def test_what_a_scraped_program_does_not_say_is_told_with_what_the_catalogue_knows() -> None:
    seen = fleet(GETH, components=("geth", "node_exporter"))
    found = reason('eth_db_chaindata_compact_writedelay_duration{role="execution"}', seen)
    assert (found.cause, found.said) == (Cause.NOT_SAID, "Geth is scraped and has not said it yet")
    assert "the catalogue knows v" in found.mend
    assert reason("node_systemd_unit_state", seen).cause is Cause.SWITCHED_OFF


def test_a_metric_that_only_another_program_says_is_not_said_by_the_one_that_is_asked() -> None:
    erigon = Process("execution", "erigon")
    seen = fleet(GETH, erigon, components=("geth", "erigon"), names=("rpc_failure",))
    found = reason('rpc_failure{role="execution",implementation="erigon"}', seen)
    assert (found.cause, found.said) == (Cause.NOT_SAID, "Erigon is scraped and has not said it yet")


def test_a_pattern_of_names_is_judged_by_the_processes_that_it_selects() -> None:
    selector = '{__name__=~"rpc_[a-z]+_success",role="execution",implementation="geth"}'
    assert reason(selector, fleet(GETH, components=("geth",))).cause is Cause.NOT_SAID
    assert reason(selector, fleet(LIGHTHOUSE)).said == "no execution node is scraped"


def test_a_record_of_ours_needs_our_rules_and_another_one_needs_loki() -> None:
    assert reason("instance:our_record:sum", fleet()).said == "the bundle's rules are not loaded"
    assert reason("ALERTS", fleet()).said == "the bundle's rules are not loaded"
    assert reason("instance:log_lines:count5m", fleet()).said == "no Loki writes what it records here"


def test_what_the_catalogue_does_not_know_is_said_to_be_unknown() -> None:
    assert reason("somebodys_own_metric", fleet(GETH)).cause is Cause.UNKNOWN


def test_where_nothing_is_scraped_that_is_said() -> None:
    assert reason('up{role!=""}', fleet()).said == "nothing is scraped"
    assert reason('up{role="nonsense"}', fleet(GETH)).said == "nothing is scraped"
