"""One run of the demo: warm up, break something, watch what follows, judge it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from stakewatch.bundle.folder import Bundle
from stakewatch.demo.faults import DemoFault, is_standing
from stakewatch.demo.page import Moment, write_page
from stakewatch.demo.stack import SCALE, Stack, running
from stakewatch.demo.verdict import Verdict, judge
from stakewatch.demo.watching import AlertView, Change, State, changes, observe
from stakewatch.errors import StakewatchError

_POLL_SECONDS = 0.5
_WARM_UP_LIMIT_SECONDS = 90.0
_FAULT_LIMIT_SECONDS = 110.0
_SIGN_OF_LIFE_SECONDS = 10.0
# The longest window of a rule is 30 minutes: with that much history no rule is silent for lack of data.
_WARM_UP_SECONDS = 1800 * SCALE + 6.0


@dataclass
class Run:
    """What has been seen so far; `at` are seconds since the stack was up."""

    bundle: Bundle
    folder: Path
    fault: DemoFault
    report: Callable[[str], None]
    show: Callable[[Change], None]
    _started: float = field(default_factory=time.monotonic)
    _spoke_at: float = field(default_factory=time.monotonic)
    _moment: Moment | None = None

    @property
    def page(self) -> Path:
        """The page that the run writes."""
        return self.folder / "index.html"

    def execute(self, linger: Callable[[Stack, Verdict], None]) -> Verdict:
        """Do the whole run; `linger` is called with the running stack and the verdict.

        Raises StakewatchError when a part of the stack does not start or dies.
        """
        with running(self.bundle, self.folder, self.report) as stack:
            self._started = time.monotonic()
            self._moment = Moment(
                configuration=stack.configuration,
                fault=self.fault,
                fault_at=None,
                now=0.0,
                alerts=(),
                changes=(),
                verdict=None,
                addresses=stack.addresses,
                scale=SCALE,
            )
            self._warm_up(stack)
            verdict = self._break_and_watch(stack)
            self._moment = replace(self._moment, verdict=verdict)
            self.watch(stack)
            linger(stack, verdict)
            return verdict

    def _warm_up(self, stack: Stack) -> None:
        self._say(f"waiting {_WARM_UP_SECONDS:.0f} s until every rule has the history it looks at")
        warm_at = time.monotonic() + _WARM_UP_SECONDS
        give_up_at = time.monotonic() + _WARM_UP_LIMIT_SECONDS
        while True:
            alerts = self.watch(stack)
            firing = [view for view in alerts if view.state is State.FIRING]
            unrest = [view for view in alerts if not is_standing(view.name, dict(view.labels))]
            if time.monotonic() >= warm_at and not unrest and firing:
                return
            if time.monotonic() >= give_up_at:
                names = ", ".join(view.title for view in unrest) or "the Watchdog does not fire"
                raise StakewatchError(
                    f"the healthy fleet is not quiet after {_WARM_UP_LIMIT_SECONDS:.0f} s: {names}",
                    where=str(self.folder),
                    mend="the logs there say more; a machine under heavy load can be too slow for 1 s slots",
                )
            left = warm_at - time.monotonic()
            names = ", ".join(view.title for view in unrest) or "nothing fires, as it should be"
            self._keep_talking(f"{left:.0f} s to go; {names}" if left > 0 else f"waiting for quiet; {names}")
            time.sleep(_POLL_SECONDS)

    def _break_and_watch(self, stack: Stack) -> Verdict:
        assert self._moment is not None  # noqa: S101 - set before this is called
        seen: list[AlertView] = []
        notified_before = len(stack.receiver.notifications)
        fault_at = time.monotonic()
        stack.inject(self.fault.simulator_fault, self.fault.arguments)
        self._moment = replace(self._moment, fault_at=fault_at - self._started)
        self._say(f"FAULT {self.fault.name}: {self.fault.describes}")
        settled_at = fault_at + self.fault.quiet_seconds
        while True:
            seen.extend(self.watch(stack))
            verdict = judge(self.fault, seen, stack.receiver.notifications[notified_before:])
            now = time.monotonic()
            if verdict.missing:
                # What must not come is looked for after the last alert that had to come.
                settled_at = now + self.fault.quiet_seconds
            if now >= min(settled_at, fault_at + _FAULT_LIMIT_SECONDS):
                return verdict
            missing = ", ".join(str(one) for one in verdict.missing)
            quiet = f"looking {settled_at - now:.0f} s longer for alerts that must not come"
            self._keep_talking(f"waiting for {missing}" if missing else quiet)
            time.sleep(_POLL_SECONDS)

    def _say(self, text: str) -> None:
        self._spoke_at = time.monotonic()
        self.report(text)

    def _keep_talking(self, text: str) -> None:
        """Say what is awaited when nothing was said for a while."""
        if time.monotonic() - self._spoke_at >= _SIGN_OF_LIFE_SECONDS:
            self._say(text)

    def watch(self, stack: Stack) -> tuple[AlertView, ...]:
        """Look at all alerts once, show what has changed, renew the page, and return them.

        Raises StakewatchError when a part of the stack has died.
        """
        assert self._moment is not None  # noqa: S101 - set before this is called
        stack.expect_running()
        now = time.monotonic() - self._started
        alerts = observe(stack.prometheus, stack.alertmanager)
        new = changes(self._moment.alerts, alerts, now)
        for change in new:
            self._spoke_at = time.monotonic()
            self.show(change)
        self._moment = replace(self._moment, now=now, alerts=alerts, changes=(*self._moment.changes, *new))
        write_page(self._moment, self.page)
        return alerts
