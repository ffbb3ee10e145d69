"""The HTTP API of one Web3Signer, read only: which keys it can sign with.

Source: Web3Signer, `GET /api/v1/eth2/publicKeys`.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from stakewatch.ethereum.transport import Endpoint, Transport

_Pubkey = Annotated[str, Meta(pattern=r"^0x[0-9a-fA-F]{96}$")]
_LARGEST_ANSWER = 512 << 20
_SLOW = 8.0
_KEYS = msgspec.json.Decoder(list[_Pubkey])


class Web3SignerApi:
    """The list of keys of one signer; `keys` is its one verb."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def keys(self) -> frozenset[str]:
        """Return the public keys that the signer has loaded, in lower case. Raises RequestError."""
        return await self._transport.exchange(
            "GET",
            "/api/v1/eth2/publicKeys",
            endpoint=Endpoint.KEYS,
            decode=lambda content: frozenset(key.lower() for key in _KEYS.decode(content)),
            limit_bytes=_LARGEST_ANSWER,
            timeout_factor=_SLOW,
        )
