"""The JSON-RPC interface of one simulated execution node."""

from collections.abc import Callable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from stakewatch.simulator.blocks import Block, Payload, Transaction
from stakewatch.simulator.views import Implementation, View

_LARGEST_REQUEST = 4 * 1024 * 1024
_LARGEST_BATCH = 1000
_LOGS_BLOOM = "0x" + "00" * 256
_NO_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
_GWEI = 10**9
_GAS_LIMIT = 36_000_000


class _CallError(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ExecutionApi:
    """Answers for one node; `view` is asked anew for each call, `application` serves it."""

    def __init__(self, implementation: Implementation, view: Callable[[], View]) -> None:
        self._implementation = implementation
        self._view = view
        self._methods: dict[str, Callable[[list[object]], object]] = {
            "eth_chainId": self._chain_id,
            "net_version": self._network,
            "net_peerCount": self._peer_count,
            "web3_clientVersion": self._version,
            "eth_syncing": self._syncing,
            "eth_blockNumber": self._block_number,
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getBlockReceipts": self._receipts,
        }

    def application(self, *middlewares: Middleware) -> web.Application:
        """Return a new application; one is needed each time that the server starts."""
        application = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=middlewares)
        application.add_routes([web.post("/", self._post)])
        return application

    async def _post(self, request: web.Request) -> web.Response:
        try:
            content = msgspec.json.decode(await request.read())
        except msgspec.DecodeError:
            answer: object = _error(None, -32700, "parse error")
        else:
            if not isinstance(content, list):
                answer = self._call(content)
            elif not content or len(content) > _LARGEST_BATCH:
                answer = _error(None, -32600, "empty batch" if not content else "batch too large")
            else:
                answer = [self._call(one) for one in content]
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    def _call(self, call: object) -> dict[str, object]:
        if not isinstance(call, dict):
            return _error(None, -32600, "invalid request")
        identity, method, parameters = call.get("id"), call.get("method"), call.get("params", [])
        if not isinstance(method, str) or not isinstance(parameters, list):
            return _error(identity, -32600, "invalid request")
        handler = self._methods.get(method)
        if handler is None:
            return _error(identity, -32601, f"the method {method[:80]} does not exist/is not available")
        try:
            return {"jsonrpc": "2.0", "id": identity, "result": handler(parameters)}
        except _CallError as error:
            return _error(identity, error.code, error.message)

    # ---- methods

    def _chain_id(self, _: list[object]) -> str:
        return hex(self._view().chain.parameters.chain_id)

    def _network(self, _: list[object]) -> str:
        return str(self._view().chain.parameters.chain_id)

    def _peer_count(self, _: list[object]) -> str:
        return hex(self._view().peers)

    def _version(self, _: list[object]) -> str:
        return self._implementation.version

    def _syncing(self, _: list[object]) -> object:
        view = self._view()
        if not view.syncing:
            return False
        highest = view.chain.block_at_or_before(view.chain.slot).payload.block_number
        return {
            "startingBlock": "0x0",
            "currentBlock": hex(view.head_block.payload.block_number),
            "highestBlock": hex(highest),
        }

    def _block_number(self, _: list[object]) -> str:
        return hex(self._view().head_block.payload.block_number)

    def _block_by_number(self, parameters: list[object]) -> object:
        name, full = _two(parameters)
        block = self._find(name)
        return _block(block, self._view(), full=full) if block else None

    def _block_by_hash(self, parameters: list[object]) -> object:
        name, full = _two(parameters)
        block = self._by_hash(name)
        return _block(block, self._view(), full=full) if block else None

    def _receipts(self, parameters: list[object]) -> object:
        name = parameters[0] if parameters else None
        if not isinstance(name, str):
            raise _CallError(-32602, "missing value for required argument 0")
        block = self._by_hash(name) if len(name) == 66 else self._find(name)  # noqa: PLR2004 - a hash in hex
        return _block_receipts(block.payload) if block else None

    # ---- finding blocks

    def _by_hash(self, name: str) -> Block | None:
        view = self._view()
        block = view.chain.payloads.get(name.lower())
        return block if block is not None and block.slot <= view.head else None

    def _find(self, name: str) -> Block | None:
        view = self._view()
        match name:
            case "latest":
                return view.head_block
            case "safe":
                return view.justified_block
            case "finalized":
                return view.finalized_block
            case "earliest":
                return view.chain.genesis_block
        try:
            number = int(name, 16) if name.startswith("0x") else -1
        except ValueError:
            number = -1
        if number < 0:
            raise _CallError(-32602, f"invalid argument 0: {name[:80]!r} is no block number or tag")
        block_hash = view.chain.payload_numbers.get(number)
        return self._by_hash(block_hash) if block_hash else None


def _two(parameters: list[object]) -> tuple[str, bool]:
    if len(parameters) < 2 or not isinstance(parameters[0], str) or not isinstance(parameters[1], bool):  # noqa: PLR2004 - block and verbosity
        raise _CallError(-32602, "a block and whether its transactions are wanted must be given")
    return parameters[0], parameters[1]


def _error(identity: object, code: int, message: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}}


def _block(block: Block, view: View, *, full: bool) -> dict[str, object]:
    payload = block.payload
    return {
        "number": hex(payload.block_number),
        "hash": payload.block_hash,
        "parentHash": payload.parent_hash,
        "mixHash": payload.parent_hash,
        "nonce": "0x0000000000000000",
        "sha3Uncles": _NO_UNCLES,
        "logsBloom": _LOGS_BLOOM,
        "transactionsRoot": "0x" + payload.block_hash[:1:-1],
        "stateRoot": "0x" + payload.block_hash[:1:-1],
        "receiptsRoot": "0x" + payload.block_hash[:1:-1],
        "miner": payload.fee_recipient,
        "difficulty": "0x0",
        "totalDifficulty": "0x0",
        "extraData": "0x",
        "size": hex(700 + 150 * len(payload.transactions)),
        "gasLimit": hex(_GAS_LIMIT),
        "gasUsed": hex(payload.gas_used),
        "timestamp": hex(payload.timestamp),
        "transactions": [
            _transaction(payload, position, transaction, view.chain.parameters.chain_id)
            if full
            else transaction.hash
            for position, transaction in enumerate(payload.transactions)
        ],
        "uncles": [],
        "baseFeePerGas": hex(payload.base_fee_per_gas),
        "withdrawalsRoot": "0x" + payload.parent_hash[:1:-1],
        "withdrawals": [
            {
                "index": hex(withdrawal.index),
                "validatorIndex": hex(withdrawal.validator_index),
                "address": withdrawal.address,
                "amount": hex(withdrawal.amount),
            }
            for withdrawal in payload.withdrawals
        ],
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": block.parent_root,
    }


def _transaction(
    payload: Payload, position: int, transaction: Transaction, chain_id: int
) -> dict[str, object]:
    price = payload.base_fee_per_gas + transaction.tip
    return {
        "blockHash": payload.block_hash,
        "blockNumber": hex(payload.block_number),
        "from": transaction.sender,
        "gas": hex(transaction.gas_used),
        "gasPrice": hex(price),
        "maxFeePerGas": hex(price + _GWEI),
        "maxPriorityFeePerGas": hex(transaction.tip),
        "type": "0x2",
        "accessList": [],
        "chainId": hex(chain_id),
        "hash": transaction.hash,
        "input": "0x",
        "nonce": hex(transaction.nonce),
        "to": transaction.recipient,
        "transactionIndex": hex(position),
        "value": hex(transaction.value),
        "v": "0x1",
        "r": transaction.hash,
        "s": hex(int(transaction.hash, 16) >> 4),
        "yParity": "0x1",
    }


def _block_receipts(payload: Payload) -> list[dict[str, object]]:
    receipts: list[dict[str, object]] = []
    cumulative = 0
    for position, transaction in enumerate(payload.transactions):
        cumulative += transaction.gas_used
        receipts.append(
            {
                "transactionHash": transaction.hash,
                "transactionIndex": hex(position),
                "blockHash": payload.block_hash,
                "blockNumber": hex(payload.block_number),
                "from": transaction.sender,
                "to": transaction.recipient,
                "cumulativeGasUsed": hex(cumulative),
                "effectiveGasPrice": hex(payload.base_fee_per_gas + transaction.tip),
                "gasUsed": hex(transaction.gas_used),
                "contractAddress": None,
                "logs": [],
                "logsBloom": _LOGS_BLOOM,
                "status": "0x1",
                "type": "0x2",
            }
        )
    return receipts
