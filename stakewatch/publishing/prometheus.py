"""The target type `prometheus`: files in a folder of somebody's Prometheus, which then loads them."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from stakewatch.errors import InputError, StakewatchError
from stakewatch.publishing.json_api import JsonApi, UnusableApiError
from stakewatch.publishing.objects import Fact, Flaw, Item, Key, LiveItem
from stakewatch.publishing.prometheus_files import (
    CONFIGURATION,
    LOADED_KINDS,
    RULE_FILE,
    TARGET_FILE,
    Folder,
    Ours,
    digest,
    file_items,
    kind_of,
    read_ours,
    write_ours,
)
from stakewatch.publishing.prometheus_server import (
    NAME,
    NotRunningError,
    expect_lifecycle,
    find_process,
    group_line,
    group_lines,
    latest_loading,
    loaded_groups,
    reload_by_signal,
    reload_over_http,
    server_version,
    wait_for_loading,
    wait_for_next_second,
)
from stakewatch.publishing.prometheus_status import file_facts, server_facts
from stakewatch.publishing.target import (
    PutBackError,
    Report,
    Source,
    Target,
    UnusableTargetError,
    nothing_published,
    target_type,
)
from stakewatch.rules import promtool

LOADED = "loaded"

# Loading a large set of rules takes its time, and Prometheus answers only when it is done.
_TIMEOUT_SECONDS = 120.0


class PrometheusTarget:
    """Publishes into a folder, as `stakewatch.publishing.target` asks for.

    The last of its objects is not a file: it is whether Prometheus has loaded them.
    """

    kinds: Sequence[str] = (TARGET_FILE, RULE_FILE, CONFIGURATION, LOADED)
    # Files are written in no time, and the note of which are ours one after the other.
    workers = 1

    def __init__(self, source: Source) -> None:
        options = source.destination.options
        self._source = source
        self._built = source.bundle.build / "prometheus"
        self._folder = Folder(Path(os.path.realpath(options["config_path"])))
        self._place = source.destination.place
        self._pid_file = Path(options["pid_file"]) if "pid_file" in options else None
        url = options.get("url")
        self._api = (
            None if url is None else JsonApi(url.rstrip("/"), timeout_seconds=_TIMEOUT_SECONDS, attempts=1)
        )
        self.where = str(self._folder.path) + (f", Prometheus {self._api.url}" if self._api else "")
        # What stood in the files before they were written by us, so that it can be put back.
        self._before: dict[Item, str | None] = {}
        self._held = ExitStack()
        self._holding = False

    @property
    def together(self) -> bool:
        """Whether Prometheus is told: then files that it refuses are put back."""
        return self._api is not None or self._pid_file is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._held.close()
        self._holding = False
        if self._api is not None:
            self._api.close()

    def _hold(self) -> None:
        """Keep other runs out of the folder from the first change on, until this one is done."""
        if not self._holding:
            self._held.enter_context(self._folder.held())
            self._holding = True

    def desired(self) -> Sequence[Item]:
        """Return the files that are built, and that they are loaded where somebody can be told to."""
        files = file_items(self._built)
        if not self.together:
            return files
        return [*files, Item(LOADED, NAME, self._loaded_text(files))]

    def _loaded_text(self, files: Sequence[Item]) -> str:
        lines = [f"files {digest(_loaded_texts(files))}"]
        if self._api is not None:
            lines += _expected_groups(files)
        return "\n".join(lines) + "\n"

    def limits(self, items: Sequence[Item]) -> Sequence[Flaw]:
        """Return what promtool of Prometheus' major version has against the files.

        A Prometheus that does not answer is a remark: files are written before its first start too.
        """
        program = "promtool"
        flaws = list(self._folder_flaws())
        if self._api is not None:
            try:
                program = "promtool2" if server_version(self._api).startswith("2.") else program
                self._expect_lifecycle()
            except UnusableApiError as error:
                # One that is not running yet: the newest has to do.
                mend = "apply writes the files and cannot have them loaded: start it, or correct its url"
                flaws.append(Flaw("Prometheus does not answer", error.what, mend, fatal=False))
            except UnusableTargetError as error:
                flaws.append(Flaw(NAME, error.what, error.mend or ""))
        if self._pid_file is not None:
            flaws += _process_flaws(self._pid_file)
        with tempfile.TemporaryDirectory(prefix="stakewatch-") as temporary:
            folder = Folder(Path(temporary).resolve())
            for item in items:
                if item.kind != LOADED:
                    folder.write(item.name, item.text)
            checked = promtool.check_config(folder.path / "prometheus.yaml", program)
            flaws += [
                Flaw(_subject(failure, folder), failure.message, "mend its source, then build it again")
                for failure in checked.failures
            ]
        return flaws

    def _folder_flaws(self) -> Iterator[Flaw]:
        """Yield a remark where who runs this may not write: who applies may be somebody else."""
        path = self._folder.path
        place = path if path.exists() else path.parent
        if not os.access(place, os.W_OK | os.X_OK):
            mend = "apply it as the user who may, or give this one the folder"
            yield Flaw(str(place), "who runs this may not write there", mend, fatal=False)

    def _expect_lifecycle(self) -> None:
        if self._api is not None and self._pid_file is None:
            expect_lifecycle(self._api, self._place)

    def live(self, items: Sequence[Item], report: Report) -> Sequence[LiveItem]:
        """Return our files, the files where ours belong, and what Prometheus has loaded of them."""
        report("the files")
        if not self._folder.has_place():
            raise InputError(
                f"config_path is in {self._folder.path.parent}, which is no folder",
                where=self._place,
                mend="make that folder, or correct config_path: only its last part is made",
            )
        ours = read_ours(self._folder)
        kinds = {item.name: item.kind for item in items if item.kind != LOADED}
        found: list[LiveItem] = []
        for name in sorted({*kinds, *ours.files}):
            text = self._folder.read(name)
            # One of ours that is gone and nobody wants is left over in the note.
            if text is not None or name not in kinds:
                kind = kinds.get(name) or kind_of(name)
                path = str(self._folder.path / name)
                item = Item(kind, name, text or "")
                found.append(LiveItem(item, owned=name in ours.files, identity=path))
        if any(item.kind == LOADED for item in items):
            report("what Prometheus has loaded")
            files = [one.item for one in found if one.item.name in kinds]
            text = self._live_loaded_text(files, ours)
            if text is not None:
                found.append(LiveItem(Item(LOADED, NAME, text), owned=True, identity=NAME))
        return found

    def _live_loaded_text(self, files: Sequence[Item], ours: Ours) -> str | None:
        """Return the text of what is loaded, None where no Prometheus is running yet."""
        if self._api is None:
            return f"files {ours.told}\n"
        try:
            loading = latest_loading(self._api)
            groups = loaded_groups(self._api)
        except UnusableApiError:
            return None
        names = [item.name for item in files if item.kind in LOADED_KINDS]
        state = digest(_loaded_texts(files))
        if not loading.succeeded:
            state = "refused by Prometheus"
        elif not loading.after(self._folder.changed_at(names), noted=ours.told == state):
            state = "as they were before their last change"
        rule_files = [item.name for item in files if item.kind == RULE_FILE]
        return "\n".join([f"files {state}", *group_lines(groups, rule_files)]) + "\n"

    def put(self, item: Item, live: LiveItem | None, report: Report) -> str:
        """Write a file, or have Prometheus load them all and see that it did."""
        self._hold()
        if item.kind == LOADED:
            return self._load(item, report)
        before = self._folder.read(item.name)
        if before != (None if live is None else live.item.text):
            raise StakewatchError(
                "somebody changed it after the plan was made",
                where=str(self._folder.path / item.name),
                mend="plan again to see what",
            )
        # Noted first: whatever ends us in between, the file is known to be ours.
        ours = read_ours(self._folder)
        if item.name not in ours.files:
            write_ours(self._folder, Ours(ours.files | {item.name}, ours.told))
        self._folder.write(item.name, item.text)
        self._before.setdefault(item, before)
        return "written"

    def _load(self, item: Item, report: Report) -> str:
        files = file_items(self._built)
        names = [one.name for one in files if one.kind in LOADED_KINDS]
        state = self._state(names)
        if item.text.splitlines()[0] != f"files {state}":
            raise StakewatchError(
                "not told to Prometheus: not all files are as they should be",
                where=str(self._folder.path),
                mend="see to the errors of the files, then apply again",
            )
        try:
            self._reload(names, report)
        except StakewatchError as error:
            if not self._before or isinstance(error, UnusableApiError | NotRunningError):
                raise
            keys, left = self._put_back()
            now = f"could not be put back: {', '.join(left)}" if left else "the files are again as they were"
            # Else its latest loading would count as failed, and its own alert says so. What it has against
            # these, it had before.
            with suppress(StakewatchError):
                self._reload(names, report)
            raise PutBackError(
                f"{error.what}; {now}",
                keys=keys,
                where=error.where,
                mend=error.mend,
            ) from error
        ours = read_ours(self._folder)
        write_ours(self._folder, Ours(ours.files, state))
        if self._api is None:
            return "told to load them; without a url nobody sees whether it did"
        self._expect_loaded(item, files)
        return "loaded"

    def _state(self, names: Sequence[str]) -> str:
        """Return the fingerprint of files as they stand in the folder."""
        return digest({name: self._folder.read(name) for name in names})

    def _reload(self, names: Sequence[str], report: Report) -> None:
        report("Prometheus to load it")
        if self._pid_file is None:
            if self._api is not None:
                # It answers when it is done.
                reload_over_http(self._api, self._place)
            return
        changed_at = self._folder.changed_at(names)
        if self._api is not None:
            wait_for_next_second(changed_at)
        reload_by_signal(self._pid_file)
        if self._api is not None:
            wait_for_loading(self._api, changed_at, report)

    def _expect_loaded(self, item: Item, files: Sequence[Item]) -> None:
        """Raise StakewatchError when Prometheus has not the rule groups that stand in the files."""
        if self._api is None:
            return
        names = [one.name for one in files if one.kind == RULE_FILE]
        loaded = set(group_lines(loaded_groups(self._api), names))
        missing = [line for line in item.text.splitlines()[1:] if line not in loaded]
        if missing:
            raise StakewatchError(
                f"it loaded its configuration, but not these {len(missing)} rule groups: {missing[0]}, …",
                where=self._api.url,
                mend=self._how_to_load(),
            )

    def _how_to_load(self) -> str:
        path = self._folder.path
        return (
            f"start it with --config.file={path}/prometheus.yaml, or let its own configuration have "
            f"rule_files: [{path}/rules/*.yaml] and scrape_config_files: [{path}/scrape.yaml]"
        )

    def _put_back(self) -> tuple[frozenset[Key], Sequence[str]]:
        """Let the files be what they were: the next start of Prometheus must not fail because of ours.

        Returns which are, and the names of those that could not be written.
        """
        keys: set[Key] = set()
        left: list[str] = []
        for item, text in self._before.items():
            try:
                if text is None:
                    self._folder.delete(item.name)
                else:
                    self._folder.write(item.name, text)
            except StakewatchError:
                left.append(item.name)
            else:
                keys.add(item.key)
        self._before.clear()
        return frozenset(keys), left

    def remove(self, live: LiveItem, report: Report) -> str:
        """Delete a file of ours, and have Prometheus forget it."""
        self._hold()
        name = live.item.name
        is_loaded = live.item.kind in LOADED_KINDS and self.together
        if is_loaded:
            self._expect_lifecycle()
        there = self._folder.delete(name)
        ours = read_ours(self._folder)
        write_ours(self._folder, Ours(ours.files - {name}, ours.told))
        if is_loaded:
            self._reload([name], report)
            kept = [one.name for one in file_items(self._built) if one.kind in LOADED_KINDS]
            write_ours(self._folder, Ours(ours.files - {name}, self._state(kept)))
        return "deleted" if there else "was gone already"

    def status(self, report: Report) -> Sequence[Fact]:
        """Return whether our files are there and loaded, which rules fail, and which alerts fire."""
        report("the files")
        ours = sorted(read_ours(self._folder).files)
        facts = list(file_facts(self._folder, ours)) if ours else [nothing_published(self._source)]
        if self._api is not None:
            report(NAME)
            facts += server_facts(self._api, self._folder, ours, how_to_load=self._how_to_load())
        return facts


@target_type("prometheus", builds=("prometheus",))
def prometheus(source: Source) -> Target:
    """Return the target that the destination's `config_path`, `url` and `pid_file` describe."""
    return PrometheusTarget(source)


def _loaded_texts(files: Sequence[Item]) -> Mapping[str, str | None]:
    return {item.name: item.text for item in files if item.kind in LOADED_KINDS}


def _expected_groups(files: Sequence[Item]) -> Iterator[str]:
    for item in files:
        if item.kind != RULE_FILE:
            continue
        groups: list[dict[str, Any]] = yaml.safe_load(item.text)["groups"]
        for group in sorted(groups, key=lambda one: str(one["name"])):
            yield group_line(item.name, group["name"], len(group["rules"]))


def _process_flaws(pid_file: Path) -> Iterator[Flaw]:
    try:
        find_process(pid_file)
    except NotRunningError as error:
        mend = "apply writes the files and cannot have them loaded: start it, or correct pid_file"
        yield Flaw(str(pid_file), error.what, mend, fatal=False)
    except StakewatchError as error:
        yield Flaw(str(pid_file), error.what, error.mend or "")


def _subject(failure: promtool.Failure, folder: Folder) -> str:
    path = failure.path
    name = path.relative_to(folder.path).as_posix() if path.is_relative_to(folder.path) else str(path)
    return f"{name}:{failure.line}" if failure.line else name
