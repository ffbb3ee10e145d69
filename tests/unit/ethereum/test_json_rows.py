"""A list of very many objects, in pieces of any size."""

import json

import msgspec
import pytest

from stakewatch.ethereum.json_rows import RowStream
from stakewatch.ethereum.registry_answer import RegistryAnswer
from stakewatch.ethereum.state_stream import NEVER


class _Row(msgspec.Struct):
    index: int


def _taken(content: bytes, piece: int) -> list[int]:
    found: list[int] = []
    rows = RowStream(b'"data":[', b"}", _Row, lambda batch: found.extend(row.index for row in batch))
    for start in range(0, len(content), piece):
        rows.feed(content[start : start + piece])
    rows.finish()
    return found


def _content(count: int, before: str = "", after: str = "") -> bytes:
    rows = ",".join(f'{{"index":"{index}","padding":"{"x" * 90}"}}' for index in range(count))
    return f'{{{before}"data":[{rows}]{after}}}'.encode()


@pytest.mark.parametrize("piece", [1, 7, 100_000, 10_000_000])
def test_all_rows_come_whatever_the_pieces(piece: int) -> None:
    count = 300 if piece < 100 else 30_000
    assert _taken(_content(count, '"finalized":false,', ',"version":"x"'), piece) == list(range(count))


def test_an_empty_list_has_no_rows() -> None:
    assert _taken(_content(0), 5) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"<html></html>",
        _content(20_000)[:-400_000],
        _content(3)[:-2],
        b'{"data":[{"index":"x"}]}',
    ],
    ids=["nothing", "no list", "html", "cut off", "cut off at its end", "no number"],
)
def test_what_is_no_such_list_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        _taken(content, 4096)


def _feed_all(rows: RowStream[_Row], pieces: list[bytes]) -> None:
    for piece in pieces:
        rows.feed(piece)


def test_objects_of_another_form_are_refused_before_they_fill_the_memory() -> None:
    rows = RowStream(b'"data":[', b"}}", _Row, lambda _: None)
    with pytest.raises(ValueError, match="another form"):
        _feed_all(rows, [_content(1000)] * 100)


def test_a_page_without_a_list_is_refused_before_it_fills_the_memory() -> None:
    rows = RowStream(b'"data":[', b"}", _Row, lambda _: None)
    with pytest.raises(ValueError, match="it has no"):
        _feed_all(rows, [b"x" * 100_000] * 100)


def _validator(index: int, **changes: object) -> dict[str, object]:
    record: dict[str, object] = {
        "pubkey": "0x" + "ab" * 48,
        "effective_balance": "32000000000",
        "slashed": False,
        "activation_eligibility_epoch": "0",
        "activation_epoch": "3",
        "exit_epoch": str(2**64 - 1),
        "withdrawable_epoch": str(2**64 - 1),
    }
    return {
        "index": str(index),
        "balance": "32000000001",
        "status": "active_ongoing",
        "validator": {**record, **changes},
    }


def _registry(*entries: dict[str, object]) -> RegistryAnswer:
    answer = RegistryAnswer()
    answer.feed(json.dumps({"data": list(entries)}, separators=(",", ":")).encode())
    return answer


def test_the_registry_is_read_into_columns() -> None:
    registry = _registry(
        _validator(0), _validator(1, slashed=True, exit_epoch="9"), _validator(2, effective_balance="0")
    ).finish()
    assert registry.effective_balances.tolist() == [32 * 10**9, 32 * 10**9, 0]
    assert registry.is_slashed.tolist() == [False, True, False]
    assert registry.exit_epochs.tolist() == [NEVER, 9, NEVER]
    assert registry.is_active(2).tolist() == [False, False, False]
    assert registry.is_active(8).tolist() == [True, True, True]
    assert registry.is_active(9).tolist() == [True, False, True]


@pytest.mark.parametrize("indices", [(1,), (0, 2), (0, 0), (1, 0)])
def test_validators_out_of_order_are_refused(indices: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="order"):
        _registry(*(_validator(index) for index in indices)).finish()


def test_an_empty_registry_is_refused() -> None:
    with pytest.raises(ValueError, match="without validators"):
        _registry().finish()
