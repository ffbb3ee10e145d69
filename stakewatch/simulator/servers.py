"""HTTP servers of simulated processes: loopback only, on a port that stays theirs while they are down."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from stakewatch.errors import StakewatchError

_HOST = "127.0.0.1"
_SHUTDOWN_SECONDS = 0.1


@dataclass
class Server:
    """One listening socket; `application` makes what it serves anew each time that it starts."""

    application: Callable[[], web.Application]
    port: int = 0
    _runner: web.AppRunner | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Its base address, without a trailing slash."""
        return f"http://{self.address}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{_HOST}:{self.port}"

    @property
    def is_running(self) -> bool:
        """Whether it listens."""
        return self._runner is not None

    async def start(self) -> None:
        """Listen; on a free port the first time, on the same one ever after.

        Raises StakewatchError when somebody else has taken the port meanwhile.
        """
        if self._runner is not None:
            return
        runner = web.AppRunner(
            self.application(),
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, _HOST, self.port, reuse_address=True).start()
        except OSError as error:
            await runner.cleanup()
            raise StakewatchError(
                f"cannot listen: {error.strerror}", where=self.address, mend="start the simulator again"
            ) from error
        self.port = runner.addresses[0][1]
        self._runner = runner

    async def stop(self) -> None:
        """Close the listening socket and all connections."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()
