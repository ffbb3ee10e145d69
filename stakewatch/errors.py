"""The one error that a user sees: what happened, where, and what to do about it."""


class StakewatchError(Exception):
    """Something the user can mend; printed as one message, without a traceback.

    `where` is a `file:line`, a node's name or an endpoint; `mend` is the sentence that says what to do.
    The command line turns it into exit code `exit_code` (2: the input is wrong; 1: the work failed).
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, mend: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.mend}" if self.mend else head


class InputError(StakewatchError):
    """The configuration, a file or an argument that a user gave is wrong."""

    exit_code = 2
