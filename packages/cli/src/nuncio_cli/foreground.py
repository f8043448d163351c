"""A suite in the foreground: until Ctrl-C."""

import asyncio

from nuncio_cli import output
from nuncio_cli.demo.sample import prepare_demo_app
from nuncio_cli.errors import Interrupted
from nuncio_cli.suite import SERVICES, Suite, SuitePlan, running_suite


async def run_until_stopped(plan: SuitePlan, *, as_json: bool) -> None:
    """Until a signal ends it, in good order."""
    if not as_json:
        output.notice(f"starting; everything is kept in {plan.data}")
    try:
        async with running_suite(plan, notice=output.notice) as suite:
            folders = ("credentials", "logs")
            extras = {"data": str(suite.data)}
            extras |= {name: str(suite.data / name) for name in folders}
            if suite.simulator is not None:
                extras["simulator"] = suite.simulator.admin_url
                extras["sample"] = str(await prepare_demo_app(suite))
            _announce(suite, extras, as_json=as_json)
            try:
                await asyncio.Event().wait()
            finally:
                output.notice("stopping: what is being sent is finished first")
    except Interrupted:
        output.notice("stopped")


def _announce(suite: Suite, extras: dict[str, str], *, as_json: bool) -> None:
    addresses = suite.addresses._asdict()
    if as_json:
        output.emit({"event": "ready", **addresses, **extras})
        return
    rows = [(name, addresses[name], str(suite.pids[name])) for name in SERVICES]
    output.table(("service", "address", "process#"), rows)
    for name, value in extras.items():
        output.say(f"{name:<13}{value}")
    output.say("ready: Ctrl-C stops everything in order", style="bold green")
