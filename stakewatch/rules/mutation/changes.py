"""Changes: the rules that differ from those of a revision in git."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from stakewatch.errors import InputError, StakewatchError
from stakewatch.rules.files import Rule, RuleFile, parse_rule_file

_TIMEOUT_SECONDS = 60.0


def changed_since(revision: str, folder: Path) -> Callable[[RuleFile, Rule], bool]:
    """Return a function that tells whether a rule says something else than in `revision`, or is new.

    Comments, layout and annotations make no difference. `folder` is anywhere in the repository.
    Raises InputError when there is no repository or git does not know the revision, StakewatchError when
    there is no git.
    """
    root = Path(
        _git(folder, "rev-parse", "--show-toplevel", mend="run it inside of a git repository").strip()
    )
    _git(
        root,
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        f"{revision}^{{commit}}",
        mend="name a branch, tag or commit that is fetched here",
        what=f"git knows no revision {revision!r}",
    )
    known: dict[Path, frozenset[tuple[object, ...]]] = {}

    def changed(rule_file: RuleFile, rule: Rule) -> bool:
        path = rule_file.path.resolve()
        if path not in known:
            known[path] = _rules_then(root, revision, path)
        return _said(rule) not in known[path]

    return changed


def _rules_then(root: Path, revision: str, path: Path) -> frozenset[tuple[object, ...]]:
    if not path.is_relative_to(root):
        return frozenset()
    inside = path.relative_to(root).as_posix()
    listed = _git(
        root, "ls-tree", "-r", "--name-only", revision, "--", inside, mend="is the repository whole?"
    )
    if not listed.strip():
        return frozenset()
    text = _git(root, "show", f"{revision}:{inside}", mend="is the repository whole?")
    return frozenset(_said(rule) for rule in parse_rule_file(text, Path(f"{revision}:{inside}")).rules)


def _said(rule: Rule) -> tuple[object, ...]:
    return (
        rule.alert,
        rule.record,
        rule.expression.strip(),
        rule.duration,
        rule.keep_firing_for,
        tuple(sorted(rule.labels.items())),
    )


def _git(folder: Path, *arguments: str, mend: str, what: str | None = None) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],  # noqa: S607 - the git that the user has
            capture_output=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StakewatchError(f"git cannot be asked: {error}", mend="install git (Debian: git)") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(what or (said[0] if said else "git failed"), where=str(folder), mend=mend)
    return done.stdout.decode(errors="replace")
