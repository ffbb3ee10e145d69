"""Keys from elsewhere: new ones count at once, lost ones only for sure, and files are read again."""

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from stakewatch.bundle.configuration import Configuration, Group, KeySource, load_configuration
from stakewatch.simulator.key_servers import KeymanagerServer, SignerServer
from stakewatch.simulator.servers import Server
from stakewatch_exporter.key_sources import KeyList, Known, resolved
from stakewatch_exporter.key_watch import KeyWatch, Surroundings, pubkeys_by_index
from stakewatch_exporter.keymanagers import expected_keys
from stakewatch_exporter.log import Changes

ONE, TWO, THREE = (f"0x{digits * 48}" for digits in ("a1", "b2", "c3"))
NOWHERE = Surroundings(None, (), None)


def test_new_keys_count_at_once_and_lost_ones_after_three_answers() -> None:
    keys = KeyList(60)
    assert keys.trusted is None
    keys.take(frozenset({ONE, TWO}))
    keys.take(frozenset({ONE, THREE}))
    assert set(keys.trusted or ()) == {ONE, TWO, THREE}
    assert set(keys.listed or ()) == {ONE, THREE}
    keys.take(frozenset())
    assert set(keys.trusted or ()) == {ONE, TWO, THREE}
    keys.take(frozenset({ONE}))
    assert set(keys.trusted or ()) == {ONE, THREE}
    keys.take(frozenset({ONE}))
    assert set(keys.trusted or ()) == {ONE}


def test_a_key_that_comes_back_is_counted_anew_before_it_is_gone() -> None:
    keys = KeyList(60)
    keys.take(frozenset({ONE}))
    for answer in (frozenset[str](), frozenset[str](), frozenset({ONE}), frozenset[str](), frozenset[str]()):
        keys.take(answer)
    assert set(keys.trusted or ()) == {ONE}


def test_an_old_list_is_unknown_but_still_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = KeyList(60)
    keys.take(frozenset({ONE}))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 61)
    assert keys.listed is None
    assert set(keys.trusted or ()) == {ONE}


GIVEN = Group("given", "vc", (ONE,))
MANAGED = Group("managed", "vc", (), source=KeySource(keymanager="vc"))
SIGNED = Group("signed", "vc", (), source=KeySource(signer="signer"))
ADDRESS = "0x" + "00" * 20
OWNED = Group("owned", "vc", (), source=KeySource(withdrawal_credentials=(ADDRESS,)))


def test_groups_get_the_keys_of_their_sources_each_key_once() -> None:
    known = Known({"vc": frozenset({TWO, ONE})}, {"signer": frozenset({TWO, THREE})}, {ADDRESS: (THREE, TWO)})
    groups = resolved((MANAGED, SIGNED, OWNED, GIVEN), known, ())
    assert [group.keys for group in groups] == [(TWO,), (THREE,), (), (ONE,)]


def test_a_source_that_tells_nothing_leaves_the_keys_as_they_were() -> None:
    silent = Known({}, {}, {})
    assert resolved((MANAGED, GIVEN), silent, ())[0].keys == ()
    before = (dataclasses.replace(MANAGED, keys=(TWO,)), GIVEN)
    assert resolved((MANAGED, GIVEN), silent, before)[0].keys == (TWO,)
    moved = dataclasses.replace(MANAGED, source=KeySource(keymanager="another"))
    assert resolved((moved,), silent, before)[0].keys == ()


def test_keys_of_disabled_groups_and_unknown_indices_are_not_expected() -> None:
    groups = (GIVEN, Group("indexed", "vc", ("7", "8")), Group("off", "vc", (THREE,), enabled=False))
    known = pubkeys_by_index(groups, {7: TWO, 9: THREE})
    assert known == {"7": TWO}
    assert expected_keys(groups, known) == {ONE, TWO}


# ---- the whole watch, over fakes


FILE = """\
network: testnet
fleet:
  cluster: one
  region: two
  beacon_nodes:
    - {{instance: beacon-1, implementation: lighthouse, url: "http://127.0.0.1:1"}}
  validator_clients:
    - instance: vc-1
      implementation: lighthouse
      beacon_nodes: [beacon-1]
      keymanager: {{url: "{first}", token_file: token}}
      {cluster}
    - instance: vc-2
      implementation: teku
      beacon_nodes: [beacon-1]
      keymanager: {{url: "{second}"}}
      {cluster}
  signers:
    - {{instance: signer-1, implementation: web3signer, url: "{signer}"}}
  groups:
    - {{name: managed, validator_client: vc-1, keys: {{keymanager: vc-1}}, signers: [signer-1]}}
    - {{name: listed, validator_client: vc-2, keys: {{file: listed.keys}}}}
exporter: {{keys_interval_seconds: 1}}
"""


@dataclasses.dataclass
class Scene:
    """A watch over two clients and a signer that are fakes, configured by files in a folder."""

    watch: KeyWatch
    first: KeymanagerServer
    second: KeymanagerServer
    signer: SignerServer
    folder: Path

    async def round(self) -> bool:
        return await self.watch.round(lambda: NOWHERE)

    def keys(self) -> dict[str, tuple[str, ...]]:
        return {group.name: group.keys for group in self.watch.groups}

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return the values of a family by client, signer or pair."""
        chosen = ("validator_client", "other_validator_client", "instance")
        return {
            tuple(sample.labels[label] for label in chosen if label in sample.labels): sample.value
            for sample in self.watch.samples({})
            if sample.family.name == f"stakewatch_{name}"
        }


@asynccontextmanager
async def scene(folder: Path, cluster: str = "") -> AsyncIterator[Scene]:
    first, second = KeymanagerServer(token="t", local=[ONE]), KeymanagerServer(local=[TWO])  # noqa: S106
    signer = SignerServer(keys=[ONE])
    servers = [Server(fake.application) for fake in (first, second, signer)]
    for server in servers:
        await server.start()
    (folder / "token").write_text("t")
    (folder / "token").chmod(0o600)
    (folder / "listed.keys").write_text(f"{TWO}\n")
    urls = dict(zip(("first", "second", "signer"), (server.url for server in servers), strict=True))
    (folder / "stakewatch.yaml").write_text(FILE.format(**urls, cluster=cluster))
    try:
        async with aiohttp.ClientSession() as session:
            configuration: Configuration = load_configuration(folder / "stakewatch.yaml")
            yield Scene(KeyWatch(configuration, session, Changes()), first, second, signer, folder)
    finally:
        for server in servers:
            await server.stop()


async def test_keys_of_a_client_are_learnt_and_followed_without_a_restart(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert here.keys() == {"managed": (), "listed": (TWO,)}
        assert await here.round()
        assert here.keys()["managed"] == (ONE,)
        assert not await here.round()
        here.first.local.append(THREE)
        assert await here.round()
        assert here.keys()["managed"] == (ONE, THREE)
        here.first.local.remove(ONE)
        assert [await here.round() for _ in range(3)] == [False, False, True]
        assert here.keys()["managed"] == (THREE,)


async def test_a_client_that_fails_keeps_its_keys(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.round()
        here.first.status = 500
        for _ in range(5):
            assert not await here.round()
        assert here.keys()["managed"] == (ONE,)


async def test_a_token_that_changes_is_read_again_and_one_lying_open_is_not_sent(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        (tmp_path / "token").chmod(0o644)
        await here.round()
        assert here.first.asked == 0
        here.first.token = "new"  # noqa: S105
        (tmp_path / "token").chmod(0o600)
        (tmp_path / "token").write_text("new")
        assert await here.round()
        assert here.keys()["managed"] == (ONE,)


async def test_what_clients_and_signers_hold_is_told_with_what_they_lack(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.round()
        assert here.values("validator_client_keys") == {("vc-1",): 1, ("vc-2",): 1}
        assert here.values("validator_client_keys_missing") == {("vc-1",): 0, ("vc-2",): 0}
        assert here.values("signer_keys") == {("signer-1",): 1}
        assert here.values("signer_keys_missing") == {("signer-1",): 0}
        assert here.values("node_up") == {("signer-1",): 1}
        here.second.local = [THREE, ONE]
        here.first.local.append(THREE)
        await here.round()
        assert here.values("validator_client_keys_missing") == {("vc-1",): 0, ("vc-2",): 1}
        assert here.values("signer_keys_missing") == {("signer-1",): 1}
        here.signer.status = 500
        await here.round()
        assert here.values("node_up") == {("signer-1",): 0}


async def test_who_does_not_answer_is_told_with_the_reason(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.second.status = 500
        here.signer.status = 404
        told = {(instance, role): failure for instance, role, failure in await here.watch.ask()}
        assert told["vc-1", "keymanager"] == ""
        assert "it answered 500" in told["vc-2", "keymanager"]
        assert "it answered 404" in told["signer-1", "signer"]


async def test_keys_in_two_clients_are_counted_until_one_lets_them_go(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.round()
        assert here.values("duplicate_keys") == {}
        here.second.local = [ONE, THREE]
        here.first.remote = [THREE]
        await here.round()
        assert here.values("duplicate_keys") == {("vc-1", "vc-2"): 2}
        here.second.local = [TWO]
        await here.round()
        assert here.values("duplicate_keys") == {("vc-1", "vc-2"): 0}


async def test_clients_of_one_distributed_cluster_share_keys_by_design(tmp_path: Path) -> None:
    async with scene(tmp_path, "distributed_cluster: obol") as here:
        here.second.local = [ONE]
        await here.round()
        assert here.values("duplicate_keys") == {}


async def test_a_changed_key_file_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.round()
        (tmp_path / "listed.keys").write_text(f"{TWO}\n{THREE}\n")
        assert await here.round()
        assert here.keys()["listed"] == (TWO, THREE)
        (tmp_path / "listed.keys").write_text("nonsense\n")
        assert not await here.round()
        assert here.keys()["listed"] == (TWO, THREE)
        (tmp_path / "listed.keys").unlink()
        assert not await here.round()
        (tmp_path / "listed.keys").write_text(f"{THREE}\n")
        assert await here.round()
        assert here.keys()["listed"] == (THREE,)


async def test_a_group_can_be_added_and_removed_in_the_configuration(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.round()
        path = tmp_path / "stakewatch.yaml"
        text = path.read_text()
        more = f'    - {{name: more, validator_client: vc-2, keys: ["{THREE}"]}}\n'
        path.write_text(text.replace("exporter:", more + "exporter:"))
        assert await here.round()
        assert here.keys() == {"managed": (ONE,), "listed": (TWO,), "more": (THREE,)}
        path.write_text(text)
        assert await here.round()
        assert here.keys() == {"managed": (ONE,), "listed": (TWO,)}


async def test_a_hundred_thousand_keys_do_not_hold_up_the_loop(tmp_path: Path) -> None:
    keys = [f"0x{number:096x}" for number in range(100_000)]
    async with scene(tmp_path) as here:
        here.first.local = keys
        here.signer.keys = keys
        longest = 0.0

        async def tick() -> None:
            nonlocal longest
            while True:
                # The time that this thread worked, which other processes do not change.
                start = time.thread_time()
                await asyncio.sleep(0.01)
                longest = max(longest, time.thread_time() - start)

        ticking = asyncio.create_task(tick())
        assert await here.round()
        ticking.cancel()
        assert here.values("signer_keys") == {("signer-1",): 100_000}
        assert len(here.keys()["managed"]) == 100_000
        assert longest < 0.5
