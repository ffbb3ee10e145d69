"""The watch over remote signers: which keys each lists, and which it should and does not."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

import aiohttp

from stakewatch.bundle.configuration import ExporterSettings, Group, Signer
from stakewatch.ethereum.transport import RequestError, Transport
from stakewatch.ethereum.web3signer_api import Web3SignerApi
from stakewatch_exporter import families
from stakewatch_exporter.exposition import Sample
from stakewatch_exporter.key_sources import KeyList
from stakewatch_exporter.keymanagers import KEPT_ROUNDS, expected_keys
from stakewatch_exporter.log import Changes
from stakewatch_exporter.traffic import Traffic


class SignerWatch:
    """The watch over one remote signer; `round` is its one verb."""

    def __init__(
        self, signer: Signer, session: aiohttp.ClientSession, settings: ExporterSettings, changes: Changes
    ) -> None:
        self.signer = signer
        self.keys = KeyList(settings.keys_interval_seconds * KEPT_ROUNDS)
        self.traffic = Traffic(signer)
        self.is_tried = False
        self.is_up = False
        self.failure = "not asked yet"
        self._changes = changes
        self._quiet_until = 0.0
        self._api = Web3SignerApi(
            Transport(
                session,
                signer.url,
                name=signer.instance,
                timeout_seconds=settings.request_timeout_seconds,
                observe=self.traffic.add,
            )
        )

    async def round(self) -> None:
        """Ask for the keys once; never raises RequestError."""
        if time.monotonic() < self._quiet_until:
            return
        self.is_tried = True
        thing = ("signer", self.signer.instance)
        try:
            keys = await self._api.keys()
        except RequestError as error:
            self.is_up, self.failure = False, str(error)
            if error.retry_after_seconds:
                self._quiet_until = time.monotonic() + error.retry_after_seconds
            self._changes.report(
                thing,
                error.outcome,
                logging.WARNING,
                "signer_does_not_answer",
                signer=self.signer.instance,
                reason=error,
                next="its keys count as before until it answers",
            )
            return
        self.is_up, self.failure = True, ""
        self.keys.take(keys)
        self._changes.settle(thing, "ok", "signer_answers_again", signer=self.signer.instance, keys=len(keys))

    def samples(self, groups: Sequence[Group], pubkeys: Mapping[str, str]) -> Iterable[Sample]:
        """Return its samples of the family group `nodes`; `pubkeys` are those of known indices."""
        signer = self.signer
        labels = {
            "cluster": signer.cluster,
            "region": signer.region,
            "instance": signer.instance,
            "role": signer.role.value,
            "implementation": signer.implementation,
        }
        if self.is_tried:
            yield Sample(families.NODE_UP, labels, int(self.is_up))
        listed = self.keys.listed
        if listed is not None:
            own = (group for group in groups if signer.instance in group.signers)
            yield Sample(families.SIGNER_KEYS, labels, len(listed))
            yield Sample(families.SIGNER_KEYS_MISSING, labels, len(expected_keys(own, pubkeys) - listed))
