"""The APIs that list keys: a client's keymanager and a Web3Signer, with keys that can be changed."""

from dataclasses import dataclass, field

import msgspec
from aiohttp import web


@dataclass
class KeymanagerServer:
    """A keymanager API; `local` and `remote` are public keys, `token` is what it wants to be shown.

    `status` is what it answers with when it is not 200. Without `has_remote` it lacks that endpoint, as some
    clients do. `asked` counts questions.
    """

    token: str | None = None
    local: list[str] = field(default_factory=list)
    remote: list[str] = field(default_factory=list)
    has_remote: bool = True
    status: int = 200
    asked: int = 0

    def application(self) -> web.Application:
        """Return what serves it."""
        application = web.Application()
        application.add_routes([web.get("/eth/v1/keystores", self._keystores)])
        if self.has_remote:
            application.add_routes([web.get("/eth/v1/remotekeys", self._remote_keys)])
        return application

    async def _keystores(self, request: web.Request) -> web.Response:
        return self._answer(
            request,
            [
                {"validating_pubkey": key, "derivation_path": "m/12381/3600/0/0/0", "readonly": False}
                for key in self.local
            ],
        )

    async def _remote_keys(self, request: web.Request) -> web.Response:
        url = "http://127.0.0.1:9000"
        return self._answer(request, [{"pubkey": key, "url": url, "readonly": False} for key in self.remote])

    def _answer(self, request: web.Request, data: object) -> web.Response:
        self.asked += 1
        if self.status != web.HTTPOk.status_code:
            return web.json_response({"message": "no"}, status=self.status)
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.Response(body=msgspec.json.encode({"data": data}), content_type="application/json")


@dataclass
class SignerServer:
    """A Web3Signer; `keys` are the public keys that it has loaded, `status` as of the keymanager."""

    keys: list[str] = field(default_factory=list)
    status: int = 200

    def application(self) -> web.Application:
        """Return what serves it."""
        application = web.Application()
        application.add_routes([web.get("/api/v1/eth2/publicKeys", self._keys)])
        return application

    async def _keys(self, _: web.Request) -> web.Response:
        body = msgspec.json.encode(self.keys)
        return web.Response(body=body, status=self.status, content_type="application/json")
