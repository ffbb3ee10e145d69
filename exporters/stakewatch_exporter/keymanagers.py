"""The watch over keymanager APIs: which keys each validator client holds, which it lacks, which two hold."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import aiohttp

from stakewatch.bundle.configuration import ExporterSettings, Group, ValidatorClient
from stakewatch.ethereum.keymanager_api import KeymanagerApi, TokenError, read_token
from stakewatch.ethereum.transport import RequestError, Transport
from stakewatch_exporter import families
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.key_sources import KeyList
from stakewatch_exporter.log import Changes
from stakewatch_exporter.traffic import Traffic

KEPT_ROUNDS = 5
_Pair = tuple[str, str]


class KeymanagerWatch:
    """The watch over one client's keymanager API; `round` is its one verb."""

    def __init__(
        self,
        client: ValidatorClient,
        session: aiohttp.ClientSession,
        settings: ExporterSettings,
        changes: Changes,
    ) -> None:
        if client.keymanager is None:
            raise ValueError(f"{client.instance} has no keymanager")
        self.client = client
        self.keys = KeyList(settings.keys_interval_seconds * KEPT_ROUNDS)
        self.traffic = Traffic(client)
        self.answered_at = 0.0
        self.failure = "not asked yet"
        self._token_file = client.keymanager.token_file
        self._changes = changes
        self._quiet_until = 0.0
        self._api = KeymanagerApi(
            Transport(
                session,
                client.keymanager.url,
                name=client.instance,
                timeout_seconds=settings.request_timeout_seconds,
                observe=self.traffic.add,
            )
        )

    async def round(self) -> None:
        """Ask for the keys once; never raises RequestError or TokenError."""
        if time.monotonic() < self._quiet_until:
            return
        thing = ("keymanager", self.client.instance)
        try:
            path = self._token_file
            token = None if path is None else await asyncio.to_thread(read_token, Path(path))
            keys = await self._api.keys(token)
        except (RequestError, TokenError) as error:
            if isinstance(error, RequestError) and error.retry_after_seconds:
                self._quiet_until = time.monotonic() + error.retry_after_seconds
            self.failure = str(error)
            self._changes.report(
                thing,
                error.outcome if isinstance(error, RequestError) else "token",
                logging.WARNING,
                "keymanager_does_not_answer",
                validator_client=self.client.instance,
                reason=error,
                next="its keys count as before until it answers",
            )
            return
        self.answered_at, self.failure = time.time(), ""
        self.keys.take(keys)
        self._changes.settle(
            thing, "ok", "keymanager_answers_again", validator_client=self.client.instance, keys=len(keys)
        )


class Keymanagers:
    """All keymanager APIs; what they say together."""

    def __init__(self, watches: Sequence[KeymanagerWatch]) -> None:
        self.watches = tuple(watches)
        self._seen: set[_Pair] = set()

    @property
    def answered_at(self) -> float:
        """When the last of them gave good data, 0 for never."""
        return max((watch.answered_at for watch in self.watches), default=0.0)

    def trusted(self) -> dict[str, frozenset[str]]:
        """Return the keys to go by, of each client that has answered once."""
        return {
            watch.client.instance: keys for watch in self.watches if (keys := watch.keys.trusted) is not None
        }

    def samples(self, groups: Sequence[Group], pubkeys: Mapping[str, str]) -> Iterable[Sample]:
        """Return the samples of the family group `clients`; `pubkeys` are those of known indices.

        A client that has not answered for five rounds has none: nobody knows what it holds.
        """
        for watch in self.watches:
            listed = watch.keys.listed
            if listed is not None:
                labels = {"validator_client": watch.client.instance}
                expected = expected_keys(
                    (group for group in groups if group.validator_client == watch.client.instance), pubkeys
                )
                yield Sample(families.VALIDATOR_CLIENT_KEYS, labels, len(listed))
                yield Sample(families.VALIDATOR_CLIENT_KEYS_MISSING, labels, len(expected - listed))
        # A pair that once shared a key is told as 0 afterwards, so that nobody has to guess.
        known = {watch.client.instance for watch in self.watches if watch.keys.listed is not None}
        counts = self.duplicates()
        self._seen.update(counts)
        for one, other in sorted(self._seen):
            if {one, other} <= known:
                labels = {"validator_client": one, "other_validator_client": other}
                yield Sample(families.DUPLICATE_KEYS, labels, counts[one, other])

    def duplicates(self) -> Counter[_Pair]:
        """Return how many keys two clients both list, by their names in order.

        Not for clients of one distributed-validator cluster, which share keys by design.
        """
        holders: defaultdict[str, list[ValidatorClient]] = defaultdict(list)
        for watch in self.watches:
            for key in watch.keys.listed or ():
                holders[key].append(watch.client)
        counts: Counter[_Pair] = Counter()
        for clients in holders.values():
            for place, one in enumerate(clients):
                for other in clients[place + 1 :]:
                    if (
                        one.distributed_cluster is None
                        or one.distributed_cluster != other.distributed_cluster
                    ):
                        first, second = sorted((one.instance, other.instance))
                        counts[first, second] += 1
        return counts


def expected_keys(groups: Iterable[Group], pubkeys: Mapping[str, str]) -> frozenset[str]:
    """Return the public keys that enabled groups must have loaded, without indices that are not known yet.

    `pubkeys` has the public key of each known validator index, as decimal text.
    """
    found = set()
    for group in groups:
        for key in group.keys if group.enabled else ():
            pubkey = key if key.startswith("0x") else pubkeys.get(key)
            if pubkey is not None:
                found.add(pubkey)
    return frozenset(found)
