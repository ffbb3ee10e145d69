"""The count of requests."""

from stakewatch.bundle.configuration import Node, Role
from stakewatch.ethereum.transport import Endpoint, Exchange, Outcome
from stakewatch_exporter.families import REQUEST_DURATION, REQUESTS
from stakewatch_exporter.traffic import Traffic

BEACON = Node("beacon-1", Role.BEACON, "teku", "http://127.0.0.1:1", "c", "r")


def test_every_outcome_of_every_endpoint_is_there_from_the_start_at_zero() -> None:
    samples = [sample for sample in Traffic(BEACON).samples() if sample.family is REQUESTS]
    assert {sample.labels["outcome"] for sample in samples} == {outcome.value for outcome in Outcome}
    assert all(sample.value == 0 for sample in samples)
    assert len({sample.labels["endpoint"] for sample in samples}) <= 8


def test_an_exchange_is_counted_where_it_belongs() -> None:
    traffic = Traffic(BEACON)
    traffic.add(Exchange(Endpoint.BLOCKS, Outcome.TIMEOUT, 4.0, None))
    traffic.add(Exchange(Endpoint.BLOCKS, Outcome.TIMEOUT, 99.0, None))
    counted = [sample for sample in traffic.samples() if sample.value]
    (requests,) = [sample for sample in counted if sample.family is REQUESTS]
    assert (requests.labels["endpoint"], requests.labels["outcome"]) == ("blocks", "timeout")
    assert requests.value == 2
    (duration,) = [sample for sample in counted if sample.family is REQUEST_DURATION]
    assert duration.value == 103.0
    assert list(duration.buckets) == [0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
