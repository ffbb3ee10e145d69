"""Keymanagers and signers are asked for their keys; tokens are kept, wrong answers refused."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from stakewatch.ethereum.keymanager_api import KeymanagerApi, TokenError, read_token
from stakewatch.ethereum.transport import Endpoint, Exchange, Outcome, RequestError, Transport
from stakewatch.ethereum.web3signer_api import Web3SignerApi
from stakewatch.simulator.key_servers import KeymanagerServer, SignerServer
from stakewatch.simulator.servers import Server

from .conftest import asking

ONE, TWO, THREE = (f"0x{digits * 48}" for digits in ("a1", "b2", "c3"))
TOKEN = "api-token-0x0123"  # noqa: S105 - of a fake


@asynccontextmanager
async def transport_to(server: Server) -> AsyncIterator[tuple[Transport, list[Exchange]]]:
    exchanges: list[Exchange] = []
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield (
                Transport(session, server.url, name="vc", timeout_seconds=2, observe=exchanges.append),
                exchanges,
            )
    finally:
        await server.stop()


async def test_keys_at_home_and_at_a_signer_are_one_set_in_lower_case() -> None:
    fake = KeymanagerServer(token=TOKEN, local=[ONE.upper().replace("X", "x"), TWO], remote=[THREE, TWO])
    async with transport_to(Server(fake.application)) as (transport, exchanges):
        assert await KeymanagerApi(transport).keys(TOKEN) == {ONE, TWO, THREE}
    assert [(one.endpoint, one.outcome) for one in exchanges] == [(Endpoint.KEYS, Outcome.OK)] * 2


async def test_a_client_without_remote_keys_has_only_its_own() -> None:
    fake = KeymanagerServer(local=[ONE], has_remote=False)
    async with transport_to(Server(fake.application)) as (transport, _):
        assert await KeymanagerApi(transport).keys(None) == {ONE}


@pytest.mark.parametrize("token", [None, "another"])
async def test_a_wrong_token_is_an_error_that_does_not_tell_it(token: str | None) -> None:
    fake = KeymanagerServer(token=TOKEN, local=[ONE])
    async with transport_to(Server(fake.application)) as (transport, _):
        with pytest.raises(RequestError) as caught:
            await KeymanagerApi(transport).keys(token)
    assert caught.value.status == 401
    assert "another" not in str(caught.value)


async def test_an_error_of_remote_keys_alone_is_no_shorter_list() -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path.endswith("remotekeys"):
            return web.Response(status=500)
        return web.json_response({"data": [{"validating_pubkey": ONE}]})

    async with asking(handler) as asked:
        with pytest.raises(RequestError) as caught:
            await KeymanagerApi(asked.transport).keys(None)
    assert caught.value.outcome is Outcome.HTTP_5XX


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"data": null}',
        b'{"data": [{}]}',
        b'{"data": [{"validating_pubkey": "0x12"}]}',
        b'{"data": [{"validating_pubkey": 7}]}',
        b'{"data": [{"validating_pubkey": "0x' + b"a" * 95,
    ],
)
async def test_what_is_no_list_of_keys_is_refused(body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with asking(handler) as asked:
        with pytest.raises(RequestError):
            await KeymanagerApi(asked.transport).keys(None)
        with pytest.raises(RequestError):
            await Web3SignerApi(asked.transport).keys() if body != b"[]" else await KeymanagerApi(
                asked.transport
            ).keys(None)


async def test_a_signer_lists_its_keys() -> None:
    fake = SignerServer(keys=[TWO.upper().replace("X", "x"), ONE])
    async with transport_to(Server(fake.application)) as (transport, _):
        api = Web3SignerApi(transport)
        assert await api.keys() == {ONE, TWO}
        fake.status = 503
        with pytest.raises(RequestError):
            await api.keys()


def token_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_token_is_one_line_that_owner_and_group_may_read(tmp_path: Path, mode: int) -> None:
    assert read_token(token_file(tmp_path, b" abc.DEF-1 \n", mode)) == "abc.DEF-1"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o606, 0o601])
def test_a_token_that_lies_open_to_everybody_is_not_used(tmp_path: Path, mode: int) -> None:
    with pytest.raises(TokenError, match="everybody") as caught:
        read_token(token_file(tmp_path, b"secret", mode))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff\xfe", b"x" * 5000, b"a\0b"])
def test_what_is_no_token_is_refused_without_being_repeated(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TokenError, match="no token"):
        read_token(token_file(tmp_path, content))


def test_a_token_file_that_is_missing_a_folder_or_a_pipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="No such file") as caught:
        read_token(tmp_path / "missing")
    assert caught.value.mend == "write the token into it, or correct token_file in stakewatch.yaml"
    with pytest.raises(TokenError):
        read_token(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(TokenError):
        read_token(tmp_path / "pipe")
