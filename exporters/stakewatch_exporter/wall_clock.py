"""Whether our own wall clock is wrong, judged by what the nodes' clocks say together.

Everything that has to do with slots hangs on it: a clock that is behind refuses every new head, one that is
ahead takes every node for late.
"""

import logging
from collections.abc import Sequence
from statistics import median

from stakewatch_exporter.log import Changes

# A Date header has whole seconds, and an answer may take one; a slot is twelve.
_TOLERATED_SECONDS = 2.5
_FEWEST_WITNESSES = 2


def own_error(offsets: Sequence[float]) -> float | None:
    """Return how many seconds our clock is ahead (negative: behind), None when it seems right.

    `offsets` are the nodes' clocks minus ours. One node proves nothing: its clock may be the wrong one. Of
    several most must be off to the same side.
    """
    if len(offsets) < _FEWEST_WITNESSES:
        return None
    middle = median(offsets)
    witnesses = [one for one in offsets if one * middle > 0 and abs(one) > _TOLERATED_SECONDS]
    if len(witnesses) * 2 <= len(offsets) or abs(middle) <= _TOLERATED_SECONDS:
        return None
    return -middle


def report_clock(offsets: Sequence[float], changes: Changes) -> None:
    """Log when our clock turns out to be wrong, and when it is right again."""
    error = own_error(offsets)
    if error is None:
        changes.settle("wall_clock", "right", "own_clock_right_again")
        return
    changes.report(
        "wall_clock",
        "wrong",
        logging.ERROR,
        "own_clock_wrong",
        seconds_ahead=round(error, 1),
        witnesses=len(offsets),
        next="slots are misjudged until the clock of this machine is set right: is it synchronised?",
    )
