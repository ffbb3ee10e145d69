"""Keeps the ledger in the state file: loads it once, writes it when something was settled, sets it aside."""

import asyncio
import copy
import logging
import time
from pathlib import Path

from stakewatch.bundle.configuration import Configuration
from stakewatch_exporter import state_file
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.follower import Follower
from stakewatch_exporter.ledger import Ledger
from stakewatch_exporter.log import Changes, event

_SAVE_SECONDS = 5.0
_SAVE_EPOCHS = 0.5


class StateKeeper:
    """The state file of one exporter, if it has one; nothing here raises for what the disk does."""

    def __init__(self, configuration: Configuration, changes: Changes) -> None:
        name = configuration.exporter.state_file
        self._path = None if name is None else Path(name)
        self._configuration = configuration
        self._changes = changes
        self._remembered: state_file.SavedState | None = None
        self._saved: object = None
        self._saved_at = 0.0
        self._writing: asyncio.Future[None] | None = None

    @property
    def remembered_root(self) -> str | None:
        """The genesis validators root of the chain that the file is about, until it was restored."""
        return None if self._remembered is None else self._remembered.genesis_validators_root

    def load(self) -> None:
        """Take in the state file, or set it aside when it cannot be used."""
        if self._path is None:
            return
        try:
            self._remembered = state_file.load(self._path, network=self._configuration.network)
        except state_file.StateFileError as error:
            self._set_aside(self._path, error)
        except OSError as error:
            event(
                logging.ERROR,
                "state_file_unreadable",
                file=self._path,
                reason=error.strerror,
                next="counters begin anew",
            )

    def restored(self, chain: Chain) -> Ledger | None:
        """Return the ledger that was saved, None when there is none for this chain."""
        saved, self._remembered = self._remembered, None
        if saved is None:
            return None
        try:
            return state_file.restored_ledger(
                saved,
                self._configuration.groups,
                validators_root=chain.validators_root,
                slots_per_epoch=chain.clock.slots_per_epoch,
            )
        except state_file.StateFileError as error:
            if self._path is not None:
                self._set_aside(self._path, error)
            return None

    def remember(self, follower: Follower, configuration: Configuration) -> None:
        """Keep the books in memory, for a follower of the groups of another configuration."""
        self._configuration = configuration
        if follower.ledger is not None:
            saved = state_file.saved_state(
                follower.ledger, network=configuration.network, root=follower.chain.validators_root
            )
            # What still runs for the old groups must not count into the new ones.
            self._remembered = copy.deepcopy(saved)

    def _set_aside(self, path: Path, error: state_file.StateFileError) -> None:
        try:
            kept: object = state_file.set_aside(path, error.kind)
        except OSError as failure:
            kept = f"not kept: {failure.strerror}"
        event(
            logging.ERROR,
            "state_file_set_aside",
            file=path,
            reason=error,
            kept_as=kept,
            next="counters begin anew",
        )

    async def save(self, follower: Follower, *, at_once: bool) -> None:
        """Write the file if something changed since the last time, at most every half epoch."""
        path, ledger = self._path, follower.ledger
        if path is None or ledger is None:
            return
        # Blocks that were settled after the last writing are fetched again and counted again as they were.
        clock = follower.chain.clock
        pause = max(_SAVE_SECONDS, _SAVE_EPOCHS * clock.slots_per_epoch * clock.slot_seconds)
        if not at_once and time.monotonic() - self._saved_at < pause:
            return
        content_of = (ledger.revision, ledger.last_epoch, len(ledger.duties), ledger.book.latest)
        if content_of == self._saved and not at_once:
            return
        self._saved_at = time.monotonic()
        content = state_file.encode(
            state_file.saved_state(
                ledger, network=self._configuration.network, root=follower.chain.validators_root
            )
        )
        self._writing = asyncio.ensure_future(asyncio.to_thread(state_file.write, path, content))
        try:
            await asyncio.shield(self._writing)
        except OSError as error:
            self._saved_at += _SAVE_SECONDS - pause
            self._changes.report(
                "state_file",
                error.errno,
                logging.ERROR,
                "state_file_not_written",
                file=path,
                reason=error.strerror,
                next=f"tried again in {_SAVE_SECONDS:.0f} s; a restart would lose counters",
            )
        else:
            self._saved = content_of
            self._changes.settle("state_file", 0, "state_file_written_again", file=path)

    async def save_now(self, follower: Follower | None) -> None:
        """Write the file before stopping, after a write that is under way."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        if follower is not None:
            await self.save(follower, at_once=True)
