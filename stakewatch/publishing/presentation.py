"""Plans and outcomes as a person reads them, and as data for programs."""

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from stakewatch.publishing.applying import Outcome
from stakewatch.publishing.differences import shown_line
from stakewatch.publishing.plans import Action, Change, Plan
from stakewatch.publishing.sessions import Failure, Status

_SIGNS = {
    Action.CREATE: ("+", "green", "is created"),
    Action.CHANGE: ("~", "yellow", "is changed"),
    Action.REPAIR: ("~", "yellow", "is sent again: it failed"),
    Action.WAIT: ("~", "yellow", "is on its way, and waited for"),
    Action.ADOPT: ("~", "yellow", "is not ours so far, and taken over"),
    Action.REFUSED: ("!", "red", "is not ours and differs: left alone without --adopt"),
    Action.LEFTOVER: ("-", "red", "is ours and no longer in the bundle: stakewatch prune removes it"),
}
_LINES = {"+": "green", "-": "red", "@": "cyan"}
_WORDS = {
    Action.CREATE: "to create",
    Action.CHANGE: "to change",
    Action.REPAIR: "to send again",
    Action.WAIT: "under way",
    Action.ADOPT: "to take over",
    Action.REFUSED: "not ours",
    Action.LEFTOVER: "left over",
    Action.KEEP: "unchanged",
}


def plan_lines(plan: Plan, *, full: bool = False) -> Iterator[Text]:
    """Yield a plan line by line: each object with what differs, flaws, and a summary as the last.

    What is created or left over is shown by its number of lines only, unless `full`.
    """
    yield Text(f"{plan.name} ({plan.type}): {plan.where}", style="bold")
    for change in plan.changes:
        if change.action is not Action.KEEP:
            yield from _change_lines(change, full=full)
    for flaw in plan.flaws:
        word = "refused there" if flaw.fatal else "remark"
        yield Text(
            f"  {word}: {shown_line(f'{flaw.subject}: {flaw.what}')}", style="red" if flaw.fatal else ""
        )
        yield Text(f"    {flaw.mend}")
    yield Text(f"{plan.name}: {summary(plan)}")


def _change_lines(change: Change, *, full: bool) -> Iterator[Text]:
    sign, style, words = _SIGNS[change.action]
    # Names are what anybody may have chosen there.
    title = shown_line(f"  {sign} {change.item} {words}")
    whole = change.action in {Action.CREATE, Action.LEFTOVER}
    if whole and not full:
        yield Text(f"{title} ({len(change.item.text.splitlines()):,} lines)", style=style)
        return
    yield Text(title, style=style)
    if change.live is not None and change.live.reason:
        yield Text(f"    {shown_line(change.live.reason)}", style="red")
    for line in change.differences():
        yield Text(f"    {line}", style=_LINES.get(line[:1], ""))


def summary(plan: Plan) -> str:
    """Return how many objects there are for each action, in one line."""
    counted = [f"{plan.count(action):,} {words}" for action, words in _WORDS.items() if plan.count(action)]
    return ", ".join(counted) or "nothing to publish"


def outcome_line(outcome: Outcome) -> Text:
    """Return what came of one object."""
    if outcome.error is None:
        done = shown_line(f"{outcome.change.item} {outcome.done}")
        return Text(f"  done: {done} ({outcome.seconds:.1f} s)", style="green")
    if outcome.put_back:
        return Text(f"  put back: {shown_line(str(outcome.change.item))}", style="yellow")
    return Text(f"  FAILED: {outcome.error}", style="red")


def plan_data(plan: Plan | Failure) -> dict[str, object]:
    """Return a plan as data: what differs, without secrets."""
    if isinstance(plan, Failure):
        return failure_data(plan)
    return {
        "target": plan.name,
        "type": plan.type,
        "where": plan.where,
        "drift": plan.drift,
        "summary": {action.value: plan.count(action) for action in Action},
        "changes": [
            {
                "action": change.action.value,
                "kind": change.item.kind,
                "name": change.item.name,
                "reason": "" if change.live is None else shown_line(change.live.reason),
                "diff": list(change.differences()),
            }
            for change in plan.changes
            if change.action is not Action.KEEP
        ],
        "flaws": [
            {"subject": flaw.subject, "what": flaw.what, "mend": flaw.mend, "fatal": flaw.fatal}
            for flaw in plan.flaws
        ],
    }


def failure_data(failure: Failure) -> dict[str, object]:
    """Return a target that could not be asked as data."""
    return {"target": failure.name, "error": str(failure.error)}


def outcomes_data(name: str, outcomes: Iterable[Outcome], planned: Sequence[Change]) -> dict[str, object]:
    """Return what was done at one target as data; what was planned and is not in it was not finished."""
    done = list(outcomes)
    finished = {one.change.item.key for one in done}
    return {
        "target": name,
        "outcomes": [
            {
                "kind": one.change.item.kind,
                "name": one.change.item.name,
                "done": one.done,
                "error": None if one.error is None else str(one.error),
                "seconds": round(one.seconds, 3),
            }
            for one in done
        ],
        "not_finished": [str(change.item) for change in planned if change.item.key not in finished],
    }


def status_data(status: Status | Failure) -> dict[str, object]:
    """Return what is live at one target as data."""
    if isinstance(status, Failure):
        return failure_data(status)
    return {
        "target": status.name,
        "where": status.where,
        "healthy": status.healthy,
        "facts": [
            {
                "subject": shown_line(one.subject),
                "state": shown_line(one.state),
                "detail": shown_line(one.detail),
                "healthy": one.healthy,
            }
            for one in status.facts
        ],
    }
