"""The demo without a fault: its fleet, warmed up and well, for those who only look."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stakewatch.bundle.folder import Bundle
from stakewatch.demo.stack import Stack, running

# An hour of the rules is 75 s here: what they record of whole hours is there by then.
WARM_UP_SECONDS = 100
_SIGN_OF_LIFE_SECONDS = 10


@contextmanager
def warmed_up(bundle: Bundle, folder: Path, report: Callable[[str], None]) -> Iterator[Stack]:
    """Run the demo's stack in `folder`, which is emptied first; stop it when the block ends.

    Raises StakewatchError with the end of its log when a part does not start or dies.
    """
    with running(bundle, folder, report) as stack:
        for second in range(WARM_UP_SECONDS):
            stack.expect_running()
            if second % _SIGN_OF_LIFE_SECONDS == 0:
                report(f"waiting {WARM_UP_SECONDS - second} s until there is something to see")
            time.sleep(1)
        yield stack
