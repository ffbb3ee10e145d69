"""The CloudFormation template with alarms on a managed ruler, and the page that explains them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.kubernetes.cloudformation import conditions, known_names, load_template, references

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "kubernetes" / "cloudwatch-alarms.yaml"
PAGE = (ROOT / "docs" / "aws-ruler-alarms.md").read_text(encoding="utf-8")
QUERY = re.compile(
    r"SELECT (?P<function>[A-Z]+)\((?P<metric>\w+)\) FROM \"(?P<namespace>[\w/]+)\""
    r" WHERE (?P<dimension>\w+) = '\$\{WorkspaceId\}'"
)


@dataclass(frozen=True)
class Documented:
    """One row of AWS' page of metrics, https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-CW-usage-metrics.html.

    `Workspace` is not on that page: it is what CloudWatch shows.
    """

    statistics: frozenset[str] = frozenset({"AVG", "MIN", "MAX", "SUM"})
    dimensions: frozenset[str] = frozenset({"Workspace"})


OF_A_GROUP = Documented(dimensions=frozenset({"Workspace", "RuleGroup"}))
METRICS = {
    "AlertManagerAlertsReceived": Documented(),
    "AlertManagerNotificationsFailed": Documented(),
    "AlertManagerNotificationsThrottled": Documented(),
    "DiscardedSamples": Documented(),
    "DiscardedSeries": Documented(),
    "OutOfOrderIngestionRate": Documented(),
    "QuerySamplesProcessed": Documented(),
    "RuleEvaluations": OF_A_GROUP,
    "RuleEvaluationFailures": OF_A_GROUP,
    "RuleGroupIterationsMissed": OF_A_GROUP,
    "RuleGroupLastEvaluationDuration": OF_A_GROUP,
}
# What a healthy workspace always has: without data these say that it is not healthy.
NEVER_ZERO = {"RuleEvaluations", "AlertManagerAlertsReceived"}


CONTENT: dict[str, Any] = load_template(TEMPLATE)
RESOURCES: dict[str, dict[str, Any]] = CONTENT["Resources"]
ALARMS = {
    name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::CloudWatch::Alarm"
}


def query_of(alarm: Mapping[str, Any]) -> re.Match[str]:
    """Return the one query of an alarm, taken apart."""
    (metric,) = alarm["Metrics"]
    assert metric["ReturnData"] is True
    found = QUERY.fullmatch(metric["Expression"]["Fn::Sub"])
    assert found, metric
    return found


def test_there_is_an_alarm_for_each_way_of_falling_silent() -> None:
    watched = {query_of(alarm)["metric"] for alarm in ALARMS.values()}
    assert watched == {
        "RuleEvaluations",
        "RuleEvaluationFailures",
        "RuleGroupIterationsMissed",
        "RuleGroupLastEvaluationDuration",
        "AlertManagerAlertsReceived",
        "AlertManagerNotificationsFailed",
        "AlertManagerNotificationsThrottled",
        "DiscardedSamples",
    }


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_reads_a_metric_that_is_documented(name: str) -> None:
    query = query_of(ALARMS[name])
    assert query["namespace"] == "AWS/Prometheus"
    documented = METRICS[query["metric"]]
    assert query["function"] in documented.statistics
    assert query["dimension"] in documented.dimensions


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_reaches_the_topic_and_says_what_to_do(name: str) -> None:
    alarm = ALARMS[name]
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "Topic"}]
    assert alarm["AlarmName"] == {"Fn::Sub": f"${{AWS::StackName}}-{name}"}
    assert re.match(r"(critical|warning): ", alarm["AlarmDescription"])
    assert alarm["AlarmDescription"].endswith(f"Runbook: docs/aws-ruler-alarms.md, {name}.")
    assert alarm["AlarmDescription"].isascii()


@pytest.mark.parametrize("name", ALARMS)
def test_silence_is_a_reason_only_where_something_must_always_come(name: str) -> None:
    alarm = ALARMS[name]
    if query_of(alarm)["metric"] in NEVER_ZERO:
        assert (alarm["TreatMissingData"], alarm["ComparisonOperator"]) == ("breaching", "LessThanThreshold")
    else:
        expected = ("notBreaching", "GreaterThanThreshold")
        assert (alarm["TreatMissingData"], alarm["ComparisonOperator"]) == expected


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_looks_back_no_further_than_queries_may(name: str) -> None:
    alarm = ALARMS[name]
    (metric,) = alarm["Metrics"]
    assert metric["Period"] % 60 == 0
    assert metric["Period"] * alarm["EvaluationPeriods"] <= 3 * 3600
    assert 1 <= alarm["DatapointsToAlarm"] <= alarm["EvaluationPeriods"]


def test_every_reference_leads_somewhere() -> None:
    assert references(CONTENT) >= {"Topic", "TopicKey", "WorkspaceId", "AWS::StackName"}
    assert references(CONTENT) <= known_names(CONTENT)
    assert conditions(CONTENT) == set(CONTENT["Conditions"])


def test_every_parameter_is_used_and_explained() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, parameter in CONTENT["Parameters"].items():
        assert f"!Ref {name}" in text or f"${{{name}}}" in text, name
        assert parameter["Description"]


@pytest.mark.parametrize(
    ("workspace", "right"),
    [
        ("ws-12345678-90ab-cdef-1234-567890abcdef", True),
        ("12345678-90ab-cdef-1234-567890abcdef", False),
        ("ws-12345678-90ab-cdef-1234-567890abcdef' OR Workspace = 'x", False),
        ("ws-", False),
        ("", False),
    ],
)
def test_a_workspace_id_cannot_be_anything_else(workspace: str, *, right: bool) -> None:
    pattern = CONTENT["Parameters"]["WorkspaceId"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, workspace)) is right


def test_the_template_names_no_account_no_region_and_no_secret() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert not re.search(r"\b\d{12}\b", re.sub(r"ws-[0-9a-f-]+", "", text))
    assert not re.search(r"\b[a-z]{2}(-gov)?-(north|south|east|west|central)+-\d\b", text)
    assert all(value.startswith("arn:${AWS::Partition}:") for value in re.findall(r"arn:\S+", text))
    assert CONTENT["Parameters"]["PagerEndpoint"]["NoEcho"] is True


def test_only_alarms_of_this_stack_may_publish_to_the_topic_and_use_its_key() -> None:
    (publish,) = RESOURCES["TopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    account, use = RESOURCES["TopicKey"]["Properties"]["KeyPolicy"]["Statement"]
    assert publish["Action"] == "sns:Publish"
    assert publish["Resource"] == {"Ref": "Topic"}
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert account["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    for statement in (publish, use):
        assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        condition = statement["Condition"]
        assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
        pattern = condition["ArnLike"]["aws:SourceArn"]["Fn::Sub"]
        assert pattern.endswith(":alarm:${AWS::StackName}-*")
    assert RESOURCES["Topic"]["Properties"]["KmsMasterKeyId"] == {"Ref": "TopicKey"}


def test_the_stack_gives_nobody_a_role() -> None:
    assert {one["Type"] for one in RESOURCES.values()} == {
        "AWS::CloudWatch::Alarm",
        "AWS::KMS::Key",
        "AWS::SNS::Subscription",
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
    }


def test_the_page_explains_each_alarm_with_its_severity() -> None:
    explained = dict(re.findall(r"^### (\w+)\n(critical|warning) · ", PAGE, re.MULTILINE))
    described = {name: alarm["AlarmDescription"].partition(":")[0] for name, alarm in ALARMS.items()}
    assert explained == described


def test_the_page_asks_for_metrics_and_dimensions_that_are_documented() -> None:
    queries = re.findall(
        r"SELECT ([A-Z]+)\((\w+)\) FROM \"AWS/Prometheus\" WHERE (\w+) .* GROUP BY (\w+)", PAGE
    )
    assert len(queries) == PAGE.count("SELECT ")
    for function, metric, *dimensions in queries:
        assert function in METRICS[metric].statistics
        assert set(dimensions) <= METRICS[metric].dimensions


def test_the_page_names_runbooks_that_there_are() -> None:
    named = set(re.findall(r"[Rr]unbook (\w+)", PAGE))
    assert named == {"RuleEvaluationFailing", "RuleEvaluationSlow", "RemoteWriteDropping"}
    assert all((ROOT / "docs" / "runbooks" / f"{name}.md").is_file() for name in named)
