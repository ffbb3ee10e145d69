"""What the commands `preview` and `doctor` refuse before they ask anybody."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from stakewatch.bundle.folder import Bundle
from stakewatch.cli.doctor import command as doctor
from stakewatch.cli.preview import command as preview
from stakewatch.errors import InputError, StakewatchError
from stakewatch.grafana.preview.page import write_pages
from stakewatch.programs.process import free_port


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["geth_node", "--choose", "cluster=["], "--choose cluster: "),
        (["--range", "0s"], "cannot be shown"),
        (["--range", "10y"], "cannot be shown"),
        (["--range", "-5m"], "--range: '-5m' is not a duration"),
        (["geth_nod"], "did you mean geth_node"),
        (["geth_node", "--prometheus", "localhost:9090"], "no address of a Prometheus"),
    ],
)
def test_a_wrong_wish_is_an_input_error(bundle: Bundle, words: list[str], message: str) -> None:
    answer = CliRunner().invoke(preview, [*words, "--bundle", str(bundle.root)])
    assert isinstance(answer.exception, InputError)
    assert message in str(answer.exception)
    assert not bundle.build.exists()


def test_where_no_prometheus_answers_no_page_is_written(bundle: Bundle) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    for command in (preview, doctor):
        answer = CliRunner().invoke(command, ["--prometheus", nobody, "--bundle", str(bundle.root)])
        assert isinstance(answer.exception, StakewatchError)
        assert answer.exception.what == "Prometheus does not answer: Connection refused"
    assert not bundle.build.exists()


def test_a_folder_that_cannot_be_written_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StakewatchError, match="cannot be written"):
        write_pages((), tmp_path / "taken", "nobody")
    assert bundle.root.exists()
