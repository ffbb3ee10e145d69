"""Keeps the groups' keys up to date while the exporter runs, and tells what their sources say."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import aiohttp

from stakewatch.bundle.configuration import Configuration, Group, load_configuration
from stakewatch.errors import InputError
from stakewatch.ethereum.credential_search import credentials_of
from stakewatch.ethereum.state_layout import StateError, fork_at, state_layout
from stakewatch.ethereum.transport import RequestError
from stakewatch_exporter.agreement import Chain
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.key_sources import Known, file_marks, resolved
from stakewatch_exporter.keymanagers import Keymanagers, KeymanagerWatch
from stakewatch_exporter.log import Changes, event
from stakewatch_exporter.nodes import BeaconWatch
from stakewatch_exporter.signers import SignerWatch

# The whole state is read for it, and new validators take days to come.
_CREDENTIALS_SECONDS = 86_400.0
_CREDENTIALS_AGAIN_SECONDS = 384.0
_UNRESOLVED_SECONDS = 2.0
_YOUNG_ROUNDS = 30


@dataclass(frozen=True)
class Surroundings:
    """What a search by credentials needs: the chain, the nodes to ask, the best first, and their head."""

    chain: Chain | None
    beacons: Sequence[BeaconWatch]
    head_slot: int | None


class KeyWatch:
    """Looks at all key sources; `round` is its one verb, and `groups` are what it has found.

    A changed stakewatch.yaml is read again for its groups; for anything else in it the exporter must be
    started anew, which is said. A file that is wrong leaves everything as it was.
    """

    def __init__(
        self, configuration: Configuration, session: aiohttp.ClientSession, changes: Changes
    ) -> None:
        settings = configuration.exporter
        self.keymanagers = Keymanagers(
            [
                KeymanagerWatch(client, session, settings, changes)
                for client in configuration.validator_clients
                if client.keymanager is not None
            ]
        )
        self.signers = tuple(
            SignerWatch(signer, session, settings, changes) for signer in configuration.signers
        )
        self.groups = configuration.groups
        self._configuration = configuration
        self._configured = configuration.groups
        self._changes = changes
        self._marks = file_marks(configuration.files)
        self._credentials: dict[str, tuple[str, ...]] = {}
        self._credentials_at = 0.0
        self._rounds = 0

    async def round(self, surroundings: Callable[[], Surroundings]) -> bool:
        """Look at everything once; return whether the groups or their keys are others now. Never raises."""
        self._rounds += 1
        await self._ask_all()
        await self._read_files()
        await self._search_credentials(surroundings())
        known = Known(
            keymanagers=self.keymanagers.trusted(),
            signers={
                one.signer.instance: keys for one in self.signers if (keys := one.keys.trusted) is not None
            },
            credentials=self._credentials,
        )
        before = self.groups
        # A hundred thousand keys take a tenth of a second, which a scrape must not wait for.
        self.groups = await asyncio.to_thread(resolved, self._configured, known, before)
        if self.groups == before:
            return False
        added, removed = await asyncio.to_thread(_difference, before, self.groups)
        event(
            logging.INFO,
            "keys_changed",
            groups=len(self.groups),
            added=added,
            removed=removed,
            next="figures go on with the new keys",
        )
        return True

    async def ask(self) -> list[tuple[str, str, str]]:
        """Ask every keymanager and signer once; return instance, role, and why it does not answer."""
        await self._ask_all()
        return [
            *((watch.client.instance, "keymanager", watch.failure) for watch in self.keymanagers.watches),
            *((watch.signer.instance, "signer", watch.failure) for watch in self.signers),
        ]

    async def _ask_all(self) -> None:
        await asyncio.gather(
            *(watch.round() for watch in self.keymanagers.watches),
            *(signer.round() for signer in self.signers),
        )

    def pause_seconds(self) -> float:
        """Return the pause until the next round: short at first, while a source has told nothing."""
        interval = self._configuration.exporter.keys_interval_seconds
        is_young = any(group.source is not None and not group.keys for group in self.groups)
        if not is_young or self._rounds > _YOUNG_ROUNDS:
            return interval
        return min(interval, _UNRESOLVED_SECONDS)

    def samples(self, pubkeys: Mapping[str, str]) -> Iterable[Sample]:
        """Return what clients and signers hold; `pubkeys` has those of known validator indices (decimal)."""
        for signer in self.signers:
            yield from signer.samples(self.groups, pubkeys)
            yield from signer.traffic.samples()
        yield from self.keymanagers.samples(self.groups, pubkeys)
        for watch in self.keymanagers.watches:
            yield from watch.traffic.samples()

    async def _read_files(self) -> None:
        files = self._configuration.files
        marks = await asyncio.to_thread(file_marks, files)
        if not files or marks == self._marks:
            return
        self._marks = marks
        try:
            fresh = await asyncio.to_thread(load_configuration, files[0])
        except InputError as error:
            self._changes.report(
                "configuration",
                str(error),
                logging.ERROR,
                "configuration_not_taken",
                reason=error,
                next="the keys stay as they were until the files are right",
            )
            return
        self._changes.settle("configuration", "", "configuration_taken", groups=len(fresh.groups))
        self._marks = await asyncio.to_thread(file_marks, fresh.files)
        if _rest(fresh) != _rest(self._configuration):
            event(
                logging.WARNING,
                "restart_needed",
                file=files[0],
                next="groups are taken now, whatever else has changed after a restart",
            )
        self._configuration = fresh
        self._configured = fresh.groups

    async def _search_credentials(self, surroundings: Surroundings) -> None:
        wanted = {
            one
            for group in self._configured
            if group.source is not None
            for one in group.source.withdrawal_credentials
        }
        chain, head_slot = surroundings.chain, surroundings.head_slot
        is_known = wanted <= self._credentials.keys()
        pause = _CREDENTIALS_SECONDS if is_known else _CREDENTIALS_AGAIN_SECONDS
        is_early = self._credentials_at > 0 and time.monotonic() - self._credentials_at < pause
        if not wanted or is_early or chain is None or head_slot is None:
            return
        slot = head_slot
        self._credentials_at = time.monotonic()
        try:
            values = chain.specification.values
            layout = state_layout(values, fork_at(values, chain.clock.epoch_of(slot)))
        except StateError as error:
            self._not_found(error)
            return
        for watch in surroundings.beacons:
            try:
                found = await watch.epochs.keys_by_credentials(slot, layout, credentials_of(wanted))
            except RequestError as error:
                watch.heed(error)
                self._not_found(error)
                continue
            self._credentials = {
                one: tuple(key for whole in sorted(credentials_of([one])) for key in found[whole])
                for one in wanted
            }
            self._changes.settle("credentials", "ok", "credentials_found_again")
            return

    def _not_found(self, error: Exception) -> None:
        self._changes.report(
            "credentials",
            str(error),
            logging.WARNING,
            "credentials_not_searched",
            reason=error,
            next=f"tried again in {_CREDENTIALS_AGAIN_SECONDS:.0f} s; keys found before stay",
        )


def _difference(before: Sequence[Group], after: Sequence[Group]) -> tuple[int, int]:
    """Return how many keys were added to groups and removed from them."""
    old = {(group.name, key) for group in before for key in group.keys}
    new = {(group.name, key) for group in after for key in group.keys}
    return len(new - old), len(old - new)


def _rest(configuration: Configuration) -> tuple[object, ...]:
    """Return what of a configuration only counts at the start."""
    return (
        configuration.network,
        configuration.nodes,
        configuration.validator_clients,
        configuration.signers,
        configuration.health,
        # The command line may have chosen another address.
        replace(configuration.exporter, listen_host="", listen_port=0),
        configuration.expected_versions,
    )


def pubkeys_by_index(groups: Iterable[Group], known: Mapping[int, str]) -> dict[str, str]:
    """Return the public keys of those that are configured by their index; `known` has keys by index."""
    listed = (key for group in groups for key in group.keys if not key.startswith("0x"))
    return {key: known[int(key)] for key in listed if int(key) in known}
