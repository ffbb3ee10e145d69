"""docs/kubernetes.md, docs/aws.md and the example of a workflow against what they speak of."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

import stakewatch
from stakewatch.bundle.configuration import load_configuration_text
from stakewatch.cli.main import group
from stakewatch.kubernetes import relabelling
from stakewatch.kubernetes.chart import chart_version
from stakewatch.kubernetes.exporter import TOKENS
from stakewatch.kubernetes.monitors import METRICS_PORT
from tests.unit.kubernetes.cloudformation import load_template

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
KUBERNETES = (DOCS / "kubernetes.md").read_text(encoding="utf-8")
AWS = (DOCS / "aws.md").read_text(encoding="utf-8")
WORKFLOW = (DOCS / "examples" / "publish.yaml").read_text(encoding="utf-8")
TEMPLATE = load_template(ROOT / "kubernetes" / "aws-foundation.yaml")
# GitHub reads `on` as a word, YAML 1.1 as true.
JOBS: dict[str, Any] = yaml.load(WORKFLOW, yaml.BaseLoader)["jobs"]  # noqa: S506 - it makes texts only


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [KUBERNETES, AWS], ids=["kubernetes", "aws"])
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page)
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


@pytest.mark.parametrize("text", [KUBERNETES, AWS, WORKFLOW], ids=["kubernetes", "aws", "workflow"])
def test_only_commands_that_there_are_are_named(text: str) -> None:
    named = set(re.findall(r"(?:^|`|&& |run: |^ +)stakewatch ([a-z]+)", text, re.MULTILINE))
    assert {"check"} <= named
    assert named <= set(group.list_commands(click.Context(group)))


@pytest.mark.parametrize("text", blocks(KUBERNETES, "yaml") + blocks(AWS, "yaml"))
def test_every_piece_of_yaml_is_one_that_is_taken(text: str) -> None:
    content = yaml.safe_load(text)
    if "kind" not in content:
        load_configuration_text(text, Path("stakewatch.yaml"))
        return
    template = content["spec"]["template"]
    assert {relabelling.ROLE_LABEL, relabelling.IMPLEMENTATION_LABEL} <= set(template["metadata"]["labels"])
    assert relabelling.NETWORK_LABEL in text
    assert relabelling.INSTANCE_LABEL in text
    assert [port["name"] for port in template["spec"]["containers"][0]["ports"]] == [METRICS_PORT]


def test_the_page_names_the_charts_that_are_known() -> None:
    (line,) = [one for one in KUBERNETES.splitlines() if one.startswith("They are known by their label")]
    named = set(
        re.findall(r"[a-z0-9-]+", line.partition(f"{relabelling.CHART_LABEL}`:")[2].partition(".")[0])
    )
    assert named == {chart for charts in relabelling.STAKEWISE_CHARTS.values() for chart in charts}


def test_the_page_names_the_version_of_the_chart_whose_values_are_known() -> None:
    assert set(re.findall(r"--version (\S+)|chart (\d+\.\d+\.\d+)", KUBERNETES)) == {
        (chart_version(), ""),
        ("", chart_version()),
    }


def test_the_page_makes_the_secrets_that_are_mounted() -> None:
    made = set(re.findall(r"kubectl create secret generic (\S+)", KUBERNETES))
    values = (ROOT / "kubernetes" / "kube-prometheus-stack.values.yaml").read_text(encoding="utf-8")
    assert made == {TOKENS, *re.findall(r"secretName: (\S+)", values)}
    routes = (ROOT / "alertmanager" / "alertmanager.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"--from-file=(\w+_url)", KUBERNETES)) == set(re.findall(r"/secrets/(\w+)", routes))


def test_the_page_names_what_the_template_has() -> None:
    table = re.findall(r"^\| (?:policy )?`(\w+)`(?:, policy `(\w+)`)?", AWS, re.MULTILINE)
    named = {name for row in table for name in row if name}
    assert named == {
        name
        for name, one in TEMPLATE["Resources"].items()
        if one["Type"] in {"AWS::IAM::Role", "AWS::IAM::ManagedPolicy"}
    }
    for name in re.findall(r"[Oo]utputs? `(\w+)`", AWS) + re.findall(r"# output (\w+)", AWS):
        assert name in TEMPLATE["Outputs"]
    given = set(re.findall(r"\b([A-Z]\w+)=(?:\w|…)", AWS))
    assert given >= {"ClusterName", "Repository", "RemoteSenders", "GrafanaWorkspace", "GitHubProvider"}
    assert given <= set(TEMPLATE["Parameters"])


def test_the_variables_of_the_workflow_are_explained() -> None:
    variables = set(re.findall(r"vars\.(\w+)", WORKFLOW))
    assert variables == {"AWS_REGION", "STAKEWATCH_PLAN_ROLE", "STAKEWATCH_APPLY_ROLE"}
    outputs = " ".join(one["Description"] for one in TEMPLATE["Outputs"].values())
    for name in variables:
        assert f"`{name}`" in AWS
        assert name == "AWS_REGION" or name in outputs


def test_a_job_has_only_the_role_that_it_needs_and_no_key() -> None:
    assert yaml.safe_load(WORKFLOW)["permissions"] == {"contents": "read"}
    roles = {
        name: [
            step["with"]["role-to-assume"]
            for step in job["steps"]
            if "role-to-assume" in step.get("with", {})
        ]
        for name, job in JOBS.items()
    }
    assert roles == {
        "prove": [],
        "plan": ["${{ vars.STAKEWATCH_PLAN_ROLE }}"],
        "apply": ["${{ vars.STAKEWATCH_APPLY_ROLE }}"],
    }
    for name, job in JOBS.items():
        expected = {"contents": "read", "id-token": "write"} if roles[name] else None
        assert job.get("permissions") == expected
    assert "secrets." not in WORKFLOW
    assert not re.search(r"access.key", WORKFLOW, re.IGNORECASE)


def test_a_pull_request_is_planned_and_the_main_branch_is_published_after_it_is_proved() -> None:
    assert "github.event_name == 'pull_request'" in JOBS["plan"]["if"]
    assert "head.repo.full_name == github.repository" in JOBS["plan"]["if"]
    assert JOBS["apply"]["if"] == "github.event_name == 'push' && github.ref == 'refs/heads/main'"
    assert JOBS["plan"]["needs"] == JOBS["apply"]["needs"] == "prove"
    # Nothing that somebody else wrote becomes a part of a command.
    commands = [step["run"] for job in JOBS.values() for step in job["steps"] if "run" in step]
    assert not [command for command in commands if "${{" in command]


def test_the_examples_take_this_version() -> None:
    example = (ROOT / "stakewatch.example.yaml").read_text(encoding="utf-8")
    assert f"exporter_image: stakewatch-exporter:{stakewatch.__version__}\n" in example
    assert set(re.findall(r"stakewatch\[[a-z,]+\]==([0-9.]+)", WORKFLOW)) == {stakewatch.__version__}
