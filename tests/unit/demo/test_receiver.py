"""The webhook that stands for the person on call."""

import json
from pathlib import Path

import pytest
import requests

from stakewatch.demo.receiver import receiving

NOTIFICATION = {"alerts": [{"status": "firing", "labels": {"alertname": "BeaconNodeDown", "instance": "b"}}]}


def test_a_notification_is_kept(tmp_path: Path) -> None:
    with receiving(tmp_path / "index.html") as receiver:
        answer = requests.post(f"{receiver.address}/notify", json=NOTIFICATION, timeout=5)
        assert answer.status_code == 204
        (note,) = receiver.notifications
    assert (note.alert, note.status) == ("BeaconNodeDown", "firing")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        json.dumps({"alerts": [{"status": "firing"}]}),
        "{}",
        json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": 5}}]}),
        json.dumps({"alerts": [{"status": ["firing"], "labels": {"alertname": "A"}}]}),
        json.dumps({"alerts": [{"status": "firing", "labels": {}}]}),
        '{"alerts": ' + "[" * 100_000,
    ],
)
def test_anything_else_is_refused_and_not_kept(tmp_path: Path, body: str) -> None:
    with receiving(tmp_path / "index.html") as receiver:
        answer = requests.post(f"{receiver.address}/notify", data=body, timeout=5)
        assert answer.status_code == 400
        assert receiver.notifications == ()


@pytest.mark.parametrize("length", ["x", "-1", "9" * 5000, "²", "5000000"])
def test_a_length_that_cannot_be_is_refused(tmp_path: Path, length: str) -> None:
    with receiving(tmp_path / "index.html") as receiver:
        answer = requests.post(
            f"{receiver.address}/notify", headers={"Content-Length": length.encode()}, timeout=5
        )
        assert answer.status_code == 400
        assert receiver.notifications == ()


def test_the_page_is_served_once_it_is_there(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    with receiving(page) as receiver:
        assert requests.get(f"{receiver.address}/", timeout=5).status_code == 404
        page.write_text("<p>here</p>", encoding="utf-8")
        assert requests.get(f"{receiver.address}/", timeout=5).text == "<p>here</p>"
        assert requests.get(f"{receiver.address}/../secret", timeout=5).status_code == 404
