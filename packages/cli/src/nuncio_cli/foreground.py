"""A suite in the foreground: until Ctrl-C."""

import asyncio
import signal

from nuncio_cli import output
from nuncio_cli.suite import SERVICES, Suite, SuitePlan, running_suite


async def run_until_stopped(plan: SuitePlan, *, as_json: bool) -> None:
    """Until a signal cancels it. Cancelling runs the orderly end of whatever has been started."""
    task = asyncio.current_task()
    assert task is not None

    def stop() -> None:
        if not task.cancelling():  # Only once: a second one would cancel the orderly end.
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    if not as_json:
        output.notice(f"starting; everything is kept in {plan.data}")
    try:
        async with running_suite(plan, notice=output.notice) as suite:
            _announce(suite, as_json=as_json)
            try:
                await asyncio.Event().wait()
            finally:
                output.notice("stopping: what is being sent is finished first")
    except asyncio.CancelledError:
        output.notice("stopped")


def _announce(suite: Suite, *, as_json: bool) -> None:
    addresses = suite.addresses._asdict()
    if as_json:
        output.emit({"event": "ready", **addresses, **_extras(suite)})
        return
    rows = [(name, addresses[name], str(suite.pids[name])) for name in SERVICES]
    output.table(("service", "address", "process#"), rows)
    for name, value in _extras(suite).items():
        output.say(f"{name:<11}{value}")
    output.say("ready: Ctrl-C stops everything in order", style="bold green")


def _extras(suite: Suite) -> dict[str, str]:
    extras = {"data": str(suite.data), "logs": str(suite.data / "logs")}
    if suite.simulator is not None:
        extras["simulator"] = suite.simulator.admin_url
    return extras
