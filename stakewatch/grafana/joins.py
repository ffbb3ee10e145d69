"""Joins of the label contract: from a staking process to its container, its volumes and its machine.

Platform series carry no name of a process, only namespace and pod, or the machine. Each function takes the
text of an expression and returns the text of one whose series carry the labels of the process (`cluster`,
`instance`, …).
"""

from dataclasses import dataclass

from stakewatch.grafana.variables import kind_of_process

CHOSEN = 'cluster=~"$cluster"'


@dataclass(frozen=True)
class Process:
    """The staking processes that a board is about, as its variables choose them.

    Of role and implementation, `a|b` is either and nothing is any.
    """

    role: str = ""
    implementation: str = ""

    @property
    def matchers(self) -> str:
        """Label matchers of the process' own series and of what the exporter says about it."""
        return f'{self._kind},{CHOSEN},network=~"$network",instance=~"$instance"'

    @property
    def _kind(self) -> str:
        return kind_of_process(self.role, self.implementation)

    @property
    def firing(self) -> str:
        """The alerts that fire for the chosen processes, their machines, and no other kind of process.

        Alerts on machines do not say what runs there: those of all machines are shown until an instance is
        chosen. The Watchdog has no instance.
        """
        kind = "".join(
            f',{label}=~"{value}|"'
            for label, value in (("role", self.role), ("implementation", self.implementation))
            if value
        )
        return f'ALERTS{{alertstate="firing",{CHOSEN},instance=~"$instance",instance!=""{kind}}}'

    def series(self, metric: str, *matchers: str) -> str:
        """Return a selector of `metric` for the chosen processes, with further `matchers`."""
        return f"{metric}{{{','.join((self.matchers, *matchers))}}}"

    def per_second(self, metric: str, *matchers: str) -> str:
        """Return the rate of a series that only grows."""
        return f"rate({self.series(metric, *matchers)}[$__rate_interval])"

    def mean(self, metric: str, *labels: str) -> str:
        """Return the mean of a histogram's or summary's newest observations, per process and `labels`."""
        by = ", ".join(("cluster", "instance", *labels))
        return (
            f"sum by ({by}) ({self.per_second(f'{metric}_sum')})\n"
            f"/ (sum by ({by}) ({self.per_second(f'{metric}_count')}) > 0)"
        )

    def quantile(self, of: float, metric: str, *labels: str) -> str:
        """Return a quantile of a histogram's newest observations, per process and `labels`."""
        by = ", ".join(("cluster", "instance", *labels, "le"))
        return f"histogram_quantile({of}, sum by ({by}) ({self.per_second(f'{metric}_bucket')}))"

    def of_container(self, expression: str) -> str:
        """Return `expression`, one value per container, for the containers of the chosen processes."""
        return (
            f"{self._containers}\n"
            "* on (cluster, namespace, pod, container) group_left ()\n"
            f"max by (cluster, namespace, pod, container) (\n{_indented(expression)}\n)"
        )

    def of_volume(self, expression: str) -> str:
        """Return `expression`, one value per claim of a volume, for the claims of the processes' pods."""
        return (
            "max by (cluster, namespace, pod, persistentvolumeclaim) (\n"
            f"  kube_pod_spec_volumes_persistentvolumeclaims_info{{{CHOSEN}}}\n"
            ")\n"
            "* on (cluster, namespace, persistentvolumeclaim) group_left ()\n"
            f"max by (cluster, namespace, persistentvolumeclaim) (\n{_indented(expression)}\n)\n"
            "* on (cluster, namespace, pod) group_left (instance)\n"
            f"max by (cluster, namespace, pod, instance) (\n  {self._containers}\n)"
        )

    def of_machine(self, expression: str) -> str:
        """Return `expression`, one value per node_exporter, for the machines of the chosen processes.

        A pod's machine is known from Kubernetes, another's from stakewatch.yaml (through the exporter);
        both are the host name that node_exporter reports.
        """
        return (
            "group by (cluster, instance, nodename) (\n"
            f"  label_replace({self.series('stakewatch_node_location_info')}, "
            '"nodename", "$1", "machine", "(.+)")\n'
            "  or\n"
            f"  {self._containers}\n"
            "  * on (cluster, namespace, pod) group_left (nodename)\n"
            # A pod that moves, or a second kube-state-metrics, has two nodes for a moment: one is taken.
            "  topk by (cluster, namespace, pod) (\n"
            "    1,\n"
            f'    label_replace(kube_pod_info{{{CHOSEN}}}, "nodename", "$1", "node", "(.+)")\n'
            "  )\n"
            ")\n"
            "* on (cluster, nodename) group_left ()\n"
            "max by (cluster, nodename) (\n"
            f"{_indented(expression)}\n"
            "  * on (cluster, instance) group_left (nodename)\n"
            f"  max by (cluster, instance, nodename) (node_uname_info{{{CHOSEN}}})\n"
            ")"
        )

    @property
    def _containers(self) -> str:
        return f'container:stakewatch_process:info{{{self._kind},{CHOSEN},instance=~"$instance"}}'


def either(first: str, second: str) -> str:
    """Return `first` where a process has it, else `second`."""
    return f"{first}\nor on (cluster, instance)\n{second}"


def newest(expression: str) -> str:
    """Return one value per process: the greatest of what several exporters say."""
    return f"max by (cluster, instance) ({expression})"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
