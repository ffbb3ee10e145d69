"""The keymanager API of one validator client, read only: which keys it holds.

Source: ethereum/keymanager-APIs, `GET /eth/v1/keystores` and `GET /eth/v1/remotekeys`. Keys at a remote
signer are listed by the second, which some clients do not have.
"""

import os
import re
import stat
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from stakewatch.errors import StakewatchError
from stakewatch.ethereum.transport import Endpoint, Outcome, RequestError, Transport

_Pubkey = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{96}$")]
_LARGEST_ANSWER = 512 << 20
_LARGEST_TOKEN = 4096
_SLOW = 8.0
_TOKEN = re.compile(rb"[!-~]+")
_ABSENT = frozenset({404, 405, 501})


class TokenError(StakewatchError):
    """A bearer token cannot be read, or lies open to others."""


class _Keystore(msgspec.Struct):
    validating_pubkey: _Pubkey


class _KeystoresAnswer(msgspec.Struct):
    data: list[_Keystore]


class _RemoteKey(msgspec.Struct):
    pubkey: _Pubkey


class _RemoteKeysAnswer(msgspec.Struct):
    data: list[_RemoteKey]


_KEYSTORES = msgspec.json.Decoder(_KeystoresAnswer)
_REMOTE_KEYS = msgspec.json.Decoder(_RemoteKeysAnswer)


def read_token(path: Path) -> str:
    """Return the token that a file holds. Raises TokenError, which never repeats what is in the file.

    The file may be readable by its owner and group, as mounted secrets are, but by nobody else.
    """
    try:
        # What is no ordinary file must not hold us up.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_LARGEST_TOKEN + 1) if stat.S_ISREG(mode) else b""
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no path"
        mend = "let the exporter's user or group read it"
        if isinstance(error, FileNotFoundError):
            mend = "write the token into it, or correct token_file in stakewatch.yaml"
        raise TokenError(f"cannot be read: {reason}", where=str(path), mend=mend) from error
    if mode & stat.S_IRWXO:
        raise TokenError(
            "everybody on this machine may read or change it",
            where=str(path),
            mend="chmod o= the file; it opens the keymanager API, which can import and delete keys",
        )
    token = content.strip()
    if len(content) > _LARGEST_TOKEN or not _TOKEN.fullmatch(token):
        raise TokenError(
            "holds no token", where=str(path), mend="a token is one line of letters, digits and signs"
        )
    return token.decode("ascii")


class KeymanagerApi:
    """The list of keys of one validator client; `keys` is its one verb."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def keys(self, token: str | None) -> frozenset[str]:
        """Return the public keys that the client holds, at home or at a remote signer, in lower case.

        Raises RequestError.
        """
        authorization = None if token is None else f"Bearer {token}"
        local = await self._transport.exchange(
            "GET",
            "/eth/v1/keystores",
            endpoint=Endpoint.KEYS,
            decode=lambda content: [one.validating_pubkey.lower() for one in _KEYSTORES.decode(content).data],
            limit_bytes=_LARGEST_ANSWER,
            timeout_factor=_SLOW,
            authorization=authorization,
        )
        try:
            remote = await self._transport.exchange(
                "GET",
                "/eth/v1/remotekeys",
                endpoint=Endpoint.KEYS,
                decode=lambda content: [one.pubkey.lower() for one in _REMOTE_KEYS.decode(content).data],
                limit_bytes=_LARGEST_ANSWER,
                timeout_factor=_SLOW,
                authorization=authorization,
            )
        except RequestError as error:
            if error.outcome not in {Outcome.HTTP_4XX, Outcome.HTTP_5XX} or error.status not in _ABSENT:
                raise
            remote = []
        return frozenset((*local, *remote))
