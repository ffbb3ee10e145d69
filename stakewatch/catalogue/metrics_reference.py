"""`docs/exporter-metrics.md`: what each metric of the exporter means, written from its contract."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from stakewatch.catalogue.contract import Contract, Family

_HEAD = """# The exporter's metrics

Written from the exporter's contract, `catalogue/exporter-metrics.yaml`, by `stakewatch metrics --reference`.
The exporter serves these and nothing else; a test holds it to that.

- Every series carries `network`. Series about a node carry the labels of the watched process, so the exporter
  is scraped with `honor_labels: true`.
- *When*: at each scrape, slot or epoch, or when something happens. *head* may change with a reorganisation,
  *settled* is final or 64 slots deep and never goes down.
- *Tier*: the lowest source that gives it, of `ssz`, `json_network`, `json_watched`, `blocks`; without one it
  does not depend on the tier. `stakewatch_source_tier` tells which is in use, docs/exporter.md what it costs.
- Families of groups hold no network totals and those of the network no groups, so `sum()` needs no filter.
"""
_TITLES: Mapping[str, str] = MappingProxyType(
    {
        "nodes": "Nodes",
        "fleet": "The fleet as configured",
        "groups": "Groups of keys",
        "clients": "Validator clients",
        "keys": "Single keys",
        "attestations": "Attestations",
        "proposals": "Proposals",
        "sync_committee": "Sync committees",
        "network": "The network",
        "itself": "The exporter itself",
    }
)


def metrics_reference(contract: Contract) -> str:
    """Return the page in Markdown: one section per section of the contract, one row per family."""
    return _HEAD + "".join(_sections(contract))


def _sections(contract: Contract) -> Iterator[str]:
    for section, title in _TITLES.items():
        families = [family for family in contract.families.values() if family.section == section]
        rows = "".join(_row(family) for family in families)
        head = "| metric | type | labels | when | tier | meaning |\n|---|---|---|---|---|---|"
        yield f"\n## {title}\n\n{head}\n{rows}"


def _row(family: Family) -> str:
    when = family.cadence if family.basis is None else f"{family.cadence}, {family.basis}"
    meaning = family.meaning[:1].upper() + family.meaning[1:] or "-"
    if family.capped:
        meaning += "; up to `per_key_limit` keys"
    if family.buckets:
        meaning += f"; buckets {_joined(f'{bound:g}' for bound in family.buckets)}"
    cells = (
        f"`{family.name}`",
        family.type,
        _labels(family) or "-",
        when,
        family.lowest_tier or "-",
        meaning.replace("|", "\\|"),
    )
    return f"| {' | '.join(cells)} |\n"


def _labels(family: Family) -> str:
    shown = []
    for name, values in family.labels.items():
        if name != "network":
            shown.append(f"`{name}`" if values is None else f"`{name}` ({_joined(values)})")
    shown += [f"`{prefix}*`" for prefix in family.label_prefixes]
    return ", ".join(shown)


def _joined(words: Iterable[str]) -> str:
    return ", ".join(words)
