"""Serve a chain of mainnet's size as a process: `python -m stakewatch.simulator.mainnet`.

Writes FOLDER/ready.json when it serves: address, configuration, slots. It ends with SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import re
import signal
from pathlib import Path

from stakewatch.simulator.mainnet.api import MainnetApi
from stakewatch.simulator.mainnet.chain import MainnetChain
from stakewatch.simulator.mainnet.documents import write_configuration
from stakewatch.simulator.mainnet.registry import MainnetParameters
from stakewatch.simulator.servers import Server


def main() -> None:
    """Make the chain, serve it, and end with a signal."""
    parser = argparse.ArgumentParser(prog="python -m stakewatch.simulator.mainnet", description=__doc__)
    parser.add_argument("--validators", type=int, default=2_100_000)
    parser.add_argument("--active", type=int, default=1_000_000)
    parser.add_argument("--watched", type=int, default=10_000)
    parser.add_argument("--groups", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=8, help="how many are made")
    parser.add_argument("--epochs-past", type=int, default=3, help="how many of them are past at the start")
    parser.add_argument("--seconds-per-slot", type=int, default=1)
    parser.add_argument(
        "--without", action="append", default=[], metavar="REGEX", help="requests not served, METHOD PATH"
    )
    parser.add_argument("--folder", type=Path, required=True, help="where stakewatch.yaml and keys go")
    options = parser.parse_args()
    parameters = MainnetParameters(
        validators=options.validators,
        active=options.active,
        watched=options.watched,
        groups=options.groups,
        epochs=options.epochs,
    )
    api = MainnetApi(
        MainnetChain(parameters),
        seconds_per_slot=options.seconds_per_slot,
        epochs_past=options.epochs_past,
        allow=lambda path: not any(re.search(pattern, path) for pattern in options.without),
    )
    asyncio.run(_serve(api, options.folder))


async def _serve(api: MainnetApi, folder: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = Server(api.application)
    await server.start()
    try:
        api.start()
        configuration = write_configuration(api.chain, server.url, folder, api.seconds_per_slot)
        ready = {
            "url": server.url,
            "configuration": str(configuration),
            "first_slot": api.chain.first_slot,
            "last_slot": api.chain.last_slot,
            "genesis_time": api.genesis_time,
        }
        partial = folder / "ready.json.partial"
        partial.write_text(json.dumps(ready), encoding="utf-8")
        partial.replace(folder / "ready.json")
        await stop.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    main()
