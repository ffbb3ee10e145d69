"""The CloudFormation template that docs/aws.md begins with: who may do what, and nobody more."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml

from stakewatch.bundle.destinations import Destination
from stakewatch.publishing.amp_access import policies
from tests.unit.kubernetes.cloudformation import conditions, inside, known_names, load_template, references
from tests.unit.publishing.amp_scene import DEFINITION, amp_scene, rules

ROOT = Path(__file__).parents[3]
TEMPLATE = ROOT / "kubernetes" / "aws-foundation.yaml"
CONTENT = load_template(TEMPLATE)
RESOURCES: dict[str, dict[str, Any]] = CONTENT["Resources"]
ROLES = {name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == "AWS::IAM::Role"}
TOPICS = {name for name, one in RESOURCES.items() if one["Type"] == "AWS::SNS::Topic"}
# Permissions that are no operations of the control plane: the service's list of actions has them too.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonmanagedserviceforprometheus.html
OF_THE_DATA_PLANE = {
    "aps:RemoteWrite",
    "aps:QueryMetrics",
    "aps:GetLabels",
    "aps:GetSeries",
    "aps:GetMetricMetadata",
    "aps:ListRules",
}
# What `stakewatch plan` and `status` ask, and what `apply` and `prune` ask beside it.
PLAN = {
    "aps:DescribeWorkspace",
    "aps:ListRuleGroupsNamespaces",
    "aps:DescribeRuleGroupsNamespace",
    "aps:DescribeAlertManagerDefinition",
    "aps:ListRules",
    "servicequotas:ListServiceQuotas",
    "servicequotas:ListAWSDefaultServiceQuotas",
}
APPLY = {
    "aps:CreateRuleGroupsNamespace",
    "aps:PutRuleGroupsNamespace",
    "aps:DeleteRuleGroupsNamespace",
    "aps:CreateAlertManagerDefinition",
    "aps:PutAlertManagerDefinition",
    "aps:DeleteAlertManagerDefinition",
    "aps:TagResource",
}
GITHUB = "token.actions.githubusercontent.com"


def statements(properties: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statements of a role's or policy's own policies."""
    documents = [properties["PolicyDocument"]] if "PolicyDocument" in properties else []
    documents += [one["PolicyDocument"] for one in properties.get("Policies", [])]
    return [statement for document in documents for statement in document["Statement"]]


def actions(name: str) -> set[str]:
    """Return what a role or a policy of the template allows."""
    found: set[str] = set()
    for statement in statements(RESOURCES[name]["Properties"]):
        assert statement["Effect"] == "Allow"
        listed = statement["Action"]
        found |= {listed} if isinstance(listed, str) else set(listed)
    return found


def trust(name: str) -> dict[str, Any]:
    (statement,) = ROLES[name]["AssumeRolePolicyDocument"]["Statement"]
    found: dict[str, Any] = statement
    return found


def attached(name: str) -> Iterator[str]:
    """Yield the policies that are attached to a role."""
    for one in ROLES[name].get("ManagedPolicyArns", []):
        yield one["Ref"] if "Ref" in one else one["Fn::If"][1]["Ref"]


def test_each_command_may_do_what_it_asks_and_nothing_else() -> None:
    assert actions("Looks") == PLAN
    assert actions("Publishes") == APPLY
    assert list(attached("Planner")) == ["Looks"]
    assert list(attached("Publisher")) == ["Looks", "Publishes", "PublishesDashboards"]
    assert not statements(ROLES["Planner"])
    assert not statements(ROLES["Publisher"])


@pytest.mark.parametrize("name", ["Sender", "RemoteSender"])
def test_a_prometheus_sends_and_reads_nothing(name: str) -> None:
    assert actions(name) == {"aps:RemoteWrite"}
    assert not list(attached(name))


def test_a_grafana_reads_and_changes_no_rule() -> None:
    assert all(re.match(r"aps:(Get|Query)", action) for action in actions("Reads"))


def test_publishing_asks_for_nothing_that_its_role_may_not_do(tmp_path: Path) -> None:
    with amp_scene(tmp_path) as scene:

        def asked() -> set[str]:
            names = set(scene.fake.operations)
            scene.fake.calls.clear()
            return {f"{'servicequotas' if name.endswith('Quotas') else 'aps'}:{name}" for name in names}

        scene.apply()
        published = asked()
        scene.write_rules("beacon.yaml", rules("beacon", 2))
        scene.write_definition(DEFINITION.replace("# Built.", "# Built again.").replace(":pager", ":other"))
        scene.remove_rules("storage.yaml")
        scene.plan()
        assert asked() <= actions("Looks")
        scene.apply()
        scene.prune()
        published |= asked()
    assert published <= actions("Looks") | actions("Publishes")
    # The rules are asked for by `status`; the definition is removed only with the bundle's last receiver.
    assert actions("Looks") | actions("Publishes") == published | {
        "aps:ListRules",
        "aps:DeleteAlertManagerDefinition",
    }


def test_the_roles_are_those_that_are_built_for_each_command() -> None:
    destination = Destination("amp", "amp", {"region": "eu-west-1", "workspace": "ws-1"})
    built = {
        command: {action for statement in policy["Statement"] for action in statement["Action"]}
        for command, policy in policies(destination).items()
    }
    assert actions("Looks") == built["plan"] | built["status"]
    assert actions("Publishes") == (built["apply"] | built["prune"]) - actions("Looks")
    assert actions("Sender") == built["remote-write"]
    assert actions("Reads") == built["query"]


def test_every_action_is_one_that_the_service_has() -> None:
    session = botocore.session.get_session()
    names = {"aps": "amp", "grafana": "grafana", "servicequotas": "service-quotas"}
    known = set(OF_THE_DATA_PLANE)
    for prefix, service in names.items():
        known |= {f"{prefix}:{one}" for one in session.get_service_model(service).operation_names}
    policies = [
        name for name, one in RESOURCES.items() if one["Type"].startswith("AWS::IAM::") and name != "Provider"
    ]
    asked = {action for name in policies for action in actions(name)}
    assert asked <= known
    assert not any("*" in action for action in asked)


def test_only_quotas_are_asked_without_saying_of_what() -> None:
    for name in (*ROLES, "Looks", "Publishes", "PublishesDashboards", "Reads"):
        for statement in statements(RESOURCES[name]["Properties"]):
            if statement["Resource"] == "*":
                assert all(action.startswith("servicequotas:") for action in statement["Action"])


def test_rules_are_published_under_our_prefix_only_and_by_the_right_name_of_their_kind() -> None:
    (namespaces,) = [
        one for one in statements(RESOURCES["Publishes"]["Properties"]) if "aps:TagResource" in one["Action"]
    ]
    # The user guide prints rulegroupnamespace in one place, which no namespace is called.
    assert namespaces["Resource"]["Fn::Sub"].endswith(
        ":rulegroupsnamespace/${Workspace.WorkspaceId}/stakewatch-*"
    )


def test_a_workflow_has_no_key_and_comes_from_one_repository() -> None:
    for name, subject in (("Planner", "pull_request"), ("Publisher", "ref:refs/heads/${Branch}")):
        statement = trust(name)
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        # Equal, not like: a pattern lets others in.
        assert statement["Condition"] == {
            "StringEquals": {
                f"{GITHUB}:aud": "sts.amazonaws.com",
                f"{GITHUB}:sub": {"Fn::Sub": f"repo:${{Repository}}:{subject}"},
            }
        }
    assert not [one for one in RESOURCES.values() if one["Type"] in {"AWS::IAM::User", "AWS::IAM::AccessKey"}]


def test_only_pods_of_the_one_cluster_send() -> None:
    condition = trust("Sender")["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert condition["ArnEquals"]["aws:SourceArn"]["Fn::Sub"].endswith(":cluster/${ClusterName}")


def test_only_alertmanager_of_this_workspace_publishes_to_the_topics_and_uses_their_key() -> None:
    (publish,) = RESOURCES["TopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    account, use = RESOURCES["TopicKey"]["Properties"]["KeyPolicy"]["Statement"]
    assert publish["Action"] == ["sns:Publish", "sns:GetTopicAttributes"]
    assert use["Action"] == ["kms:Decrypt", "kms:GenerateDataKey*"]
    assert account["Principal"] == {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    for statement in (publish, use):
        assert statement["Principal"] == {"Service": "aps.amazonaws.com"}
        assert statement["Condition"] == {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": "Workspace.Arn"}},
        }
    every = [{"Ref": name} for name in ("Pager", "Tickets", "Journal", "Heartbeat")]
    assert publish["Resource"] == RESOURCES["TopicPolicy"]["Properties"]["Topics"] == every
    assert RESOURCES["Pager"]["Properties"]["KmsMasterKeyId"] == {"Ref": "TopicKey"}


def test_there_is_an_encrypted_topic_for_each_receiver() -> None:
    receivers = yaml.safe_load((ROOT / "alertmanager" / "amp" / "receivers.yaml").read_text(encoding="utf-8"))
    assert {name.lower() for name in TOPICS} == {one["name"] for one in receivers["receivers"]}
    for name in TOPICS:
        properties = RESOURCES[name]["Properties"]
        assert properties["KmsMasterKeyId"] == {"Ref": "TopicKey"}
        assert properties["TopicName"] == {"Fn::Sub": f"${{Alias}}-{name.lower()}"}


def test_samples_outlive_the_stack() -> None:
    assert (
        RESOURCES["Workspace"]["DeletionPolicy"] == RESOURCES["Workspace"]["UpdateReplacePolicy"] == "Retain"
    )


def test_every_reference_leads_somewhere_and_every_condition_decides_something() -> None:
    assert references(CONTENT) <= known_names(CONTENT)
    assert set(CONTENT["Parameters"]) <= references(CONTENT)
    used = conditions(CONTENT)
    assert used == set(CONTENT["Conditions"])


def test_what_may_be_missing_is_referred_to_only_where_it_is_there() -> None:
    for name, one in {**RESOURCES, **CONTENT["Outputs"]}.items():
        for other in references({"x": one}) & set(RESOURCES):
            needed = RESOURCES[other].get("Condition")
            # A role's provider and dashboards stand behind an If of their own.
            behind = {
                value["Fn::If"][0] for value in inside(one) if isinstance(value, dict) and "Fn::If" in value
            }
            assert needed in {None, one.get("Condition"), *behind}, f"{name} refers to {other}"


def test_every_parameter_is_explained() -> None:
    assert all(one["Description"] for one in CONTENT["Parameters"].values())


@pytest.mark.parametrize(
    ("parameter", "value", "right"),
    [
        ("Repository", "owner/name", True),
        ("Repository", "", True),
        ("Repository", "owner/name:*", False),
        ("Repository", "owner/*", False),
        ("Repository", "owner", False),
        ("Branch", "main", True),
        ("Branch", "*", False),
        ("ClusterName", "staking_1", True),
        ("ClusterName", "*", False),
        ("GrafanaWorkspace", "g-0a1b2c3d4e", True),
        ("GrafanaWorkspace", "*", False),
    ],
)
def test_a_parameter_cannot_open_a_role_to_others(parameter: str, value: str, *, right: bool) -> None:
    assert bool(re.fullmatch(CONTENT["Parameters"][parameter]["AllowedPattern"], value)) is right


def test_the_template_names_no_account_and_no_region() -> None:
    text = TEMPLATE.read_text(encoding="utf-8")
    assert not re.search(r"\b\d{12}\b", text)
    assert not re.search(r"\b[a-z]{2}(-gov)?-(north|south|east|west|central)+-\d\b", text)
    assert all(value.startswith("arn:${AWS::Partition}:") for value in re.findall(r"arn:\S+", text))
