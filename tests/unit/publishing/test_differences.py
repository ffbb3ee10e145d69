"""What is shown of a difference: the lines, without secrets and without what steers a terminal."""

import pytest

from stakewatch.publishing.differences import differences, shown_line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("password: hunter2", "password: (hidden)"),
        ("  - routing_key: 0123456789abcdef", "  - routing_key: (hidden)"),
        ('  "basicAuthPassword": "hunter2",', '  "basicAuthPassword": (hidden),'),
        ("    api_key: 'a b c'", "    api_key: (hidden)"),
        ('{"a": 1, "password":"hunter2"}', '{"a": 1, "password":(hidden)'),
        ("slack_token = xoxb-1", "slack_token = (hidden)"),
        ("url: https://user:hunter2@host/path", "url: https://(hidden)@host/path"),
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer (hidden)"),
    ],
)
def test_secrets_are_hidden_whatever_surrounds_them(line: str, expected: str) -> None:
    assert shown_line(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "secret_arn: arn:aws:secretsmanager:eu-west-1:111122223333:secret:pager",
        "secrets:",
        'kube_secret_info{secret="a"} == 1',
        "routes to token:tokens",
        "expr: sum by (token_kind) (up) > 0",
        "      description: the secret of success",
        "url: https://host/path",
        '"secureJsonFields": {},',
        "email: somebody@host",
    ],
)
def test_what_only_names_a_secret_stays_readable(line: str) -> None:
    assert shown_line(line) == line


def test_what_could_steer_a_terminal_or_turn_the_writing_round_is_replaced() -> None:
    assert shown_line("a\x1b[31mb\x07\u202ec\x00\td") == "a?[31mb??c?\td"


def test_only_what_differs_is_shown_with_some_lines_around_it() -> None:
    old = "".join(f"line {number}\n" for number in range(50))
    lines = list(differences(old, old.replace("line 25\n", "another\n")))
    assert lines[0].startswith("@@")
    assert "-line 25" in lines
    assert "+another" in lines
    assert len(lines) == 9
    assert list(differences(old, old)) == []


def test_a_changed_secret_is_a_difference_that_hides_both() -> None:
    assert list(differences("token: one", "token: two"))[1:] == ["-token: (hidden)", "+token: (hidden)"]


SEVERAL_LINES = """\
password: |
  hunter2

  hunter3
pager:
  credentials:
    - hunter4
  passphrase_token: a long one that
    goes on with hunter5
  routing_key:
    aws_secrets_manager:
      secret_arn: arn:aws:secretsmanager:x
tls_config:
  key: |
    -----BEGIN PRIVATE KEY-----
    hunter6
    -----END PRIVATE KEY-----
slack_api_url: https://hooks.example/hunter7
name: pager
"""


def test_secrets_of_several_lines_are_hidden() -> None:
    shown = list(differences("", SEVERAL_LINES))
    assert "hunter" not in "".join(shown)
    for line in ("    aws_secrets_manager:", "      secret_arn: arn:aws:secretsmanager:x", "name: pager"):
        assert f"+{line}" in shown
    assert "+    (hidden)" in shown
    changed = list(differences(SEVERAL_LINES, SEVERAL_LINES.replace("hunter3", "hunter8")))
    assert "-  (hidden)" in changed
    assert "+  (hidden)" in changed


def test_lines_that_look_like_the_heads_of_files_are_shown() -> None:
    assert "+++ b" in list(differences("", "++ b\n"))
    assert "--- a" in list(differences("-- a\n", ""))


def test_a_hunk_says_which_rule_it_is_about() -> None:
    old = "".join(f"- alert: A{number}\n" + "  one: 1\n" * 9 + "  for: 5m\n" for number in range(3))
    new = old.replace("  for: 5m\n- alert: A2", "  for: 6m\n- alert: A2")
    (head,) = (line for line in differences(old, new) if line.startswith("@@"))
    assert head.endswith("@@ alert: A1")
    board = '{\n  "title": "Peers",\n' + '  "a": 1,\n' * 9 + '  "b": 2\n}'
    (head,) = (line for line in differences(board, board.replace("2", "3")) if line.startswith("@@"))
    assert head.endswith("@@ title: Peers")
