"""cfn-lint, which knows the schema of every resource, on the CloudFormation templates."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
# What its console script does.
_LINTER = "import sys; from cfnlint.runner import main; sys.exit(main())"


def lint(*paths: Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        sys.executable,
        "-c",
        _LINTER,
        "--regions",
        "eu-west-1",
        "--template",
        *paths,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_templates_say_nothing_that_cloudformation_does_not_know() -> None:
    paths = [
        path
        for path in sorted((REPOSITORY / "kubernetes").glob("*.yaml"))
        if "AWSTemplateFormatVersion" in path.read_text(encoding="utf-8")
    ]
    assert len(paths) == 2
    answer = lint(*paths)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_misspelt_property_is_refused(tmp_path: Path) -> None:
    text = (REPOSITORY / "kubernetes" / "aws-foundation.yaml").read_text(encoding="utf-8")
    path = tmp_path / "template.yaml"
    path.write_text(text.replace("KmsMasterKeyId", "KmsMasterKeyID"), encoding="utf-8")
    answer = lint(path)
    assert answer.returncode != 0
    assert "KmsMasterKeyID" in answer.stdout
