"""Run a simulated fleet as a process: `python -m stakewatch.simulator --plan demo --folder DIR`."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from stakewatch.errors import InputError, StakewatchError
from stakewatch.simulator.control_api import control_application
from stakewatch.simulator.fleet import Fleet
from stakewatch.simulator.plan import DEMO, load_plan
from stakewatch.simulator.servers import Server

_HELP = """
Serves every process of a staking fleet on loopback: Beacon APIs, JSON-RPC, metrics.
Writes FOLDER/stakewatch.yaml for the exporter, FOLDER/keys-GROUP.txt and FOLDER/targets.json for Prometheus,
then prints one JSON line with the address of the control API and works until SIGTERM or SIGINT.

  curl -X POST -H 'Content-Type: application/json' -d '{"instance": "beacon-2"}' CONTROL/faults/down
  curl -X DELETE CONTROL/faults
"""


def main() -> int:
    """Run until a signal; return 0, or after one message 2 for wrong input and 1 for what failed."""
    parser = argparse.ArgumentParser(
        prog="python -m stakewatch.simulator",
        description="Simulate a staking fleet on a chain with known truth.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plan", required=True, help="a plan file (YAML), or `demo`")
    parser.add_argument("--folder", required=True, type=Path, help="where to write the files; must exist")
    arguments = parser.parse_args()
    try:
        plan = DEMO if arguments.plan == "demo" else load_plan(Path(arguments.plan))
        if not arguments.folder.is_dir():
            raise InputError("no such folder", where=str(arguments.folder), mend="create it first")
        asyncio.run(_serve(Fleet(plan), arguments.folder))
    except StakewatchError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the message that a user gets
        return error.exit_code
    return 0


async def _serve(fleet: Fleet, folder: Path) -> None:
    """Serve until a signal comes, or raise what stopped the chain."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with fleet:
        control = Server(lambda: control_application(fleet))
        await control.start()
        try:
            configuration, targets = folder / "stakewatch.yaml", folder / "targets.json"
            configuration.write_text(fleet.configuration_text(folder), encoding="utf-8")
            targets.write_text(fleet.scrape_targets(), encoding="utf-8")
            ready = {
                "ready": True,
                "control": control.url,
                "configuration": str(configuration),
                "targets": str(targets),
            }
            print(json.dumps(ready), flush=True)  # noqa: T201 - the line that the starter waits for
            waiting = [asyncio.create_task(event.wait()) for event in (stop, fleet.failed)]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
        finally:
            await control.stop()


if __name__ == "__main__":
    sys.exit(main())
