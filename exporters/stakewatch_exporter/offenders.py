"""Which keys are at fault, and why, for a person who asks."""

from stakewatch_exporter.figures import not_earning_keys
from stakewatch_exporter.key_samples import key_faults
from stakewatch_exporter.ledger import Ledger


def offenders(ledger: Ledger | None, *, is_leaking: bool | None, limit: int) -> dict[str, object]:
    """Return the keys at fault by fault, each up to the limit; `cut` counts those beyond it.

    `not_earning` is None while it cannot be told.
    """
    if ledger is None:
        empty: dict[str, object] = {"missing": [], "slashed": [], "live_while_disabled": [], "cut": 0}
        return {"epoch": None, "not_earning": None, **empty}
    faults = key_faults(ledger)
    idle = not_earning_keys(ledger, is_leaking=is_leaking)
    found: dict[str, tuple[list[int], str]] = {
        "not_earning": (idle or [], "active, but earned nothing in the last two epochs"),
        "missing": (list(faults.misses), "missed {} attestations in a row"),
        "slashed": (list(faults.slashed), "slashed"),
        "live_while_disabled": (list(faults.live), "seen signing although its group is disabled"),
    }
    listed: dict[str, object] = {"epoch": ledger.last_epoch}
    cut = 0
    for fault, (own, why) in found.items():
        cut += max(0, len(own) - limit)
        listed[fault] = [
            {
                "group": ledger.keys.by_index[index].group,
                "validator_index": index,
                "pubkey": ledger.keys.by_index[index].pubkey,
                "why": why.format(faults.misses.get(index, 0)),
            }
            for index in own[:limit]
        ]
    if idle is None:
        listed["not_earning"] = None
    return {**listed, "cut": cut}
