"""nuncio stats: what an app has, and what happened day by day."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer

from nuncio.common.v1.provider_pb2 import Platform
from nuncio.registry.v1.registry_service_pb2 import (
    GetRegistryStatsRequest,
    GetRegistryStatsResponse,
)
from nuncio.registry.v1.statistics_pb2 import RegistryDay, RegistryStock
from nuncio_cli import output
from nuncio_cli.asking import ask_registry
from nuncio_cli.connect import patiently
from nuncio_cli.documents import document
from nuncio_cli.names import word
from nuncio_cli.options import AppId, AsJson
from nuncio_cli.reaching import Where, reaching
from nuncio_cli.spans import span_text
from nuncio_cli.stubs import RegistryStub

# Of a day's numbers, those that say where the tokens went; --json has all.
DAY_COLUMNS = ("active", "registered", "rotated", "invalidated", "expired", "restored", "erased")
MOST_LINES = 10

NOT_COUNTED: Final = "not counted yet; the first count comes soon, mostly within a minute"
WAS_EMPTY: Final = "the app was empty then; what came since is counted soon"
UNKNOWN: Final = "-"
_UNITS: Final = (86_400, 3_600, 60)


@reaching("registry")
def stats(
    *,
    app_id: AppId,
    days: Annotated[int, typer.Option(min=1, max=400, help="How many days, today included.")] = 7,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show how many installations an app has, who may be reached, and what happened day by day.

    Stock is as of the last count, and counted anew soon when a tenth of it changed; days are up to
    date within seconds. "-": nothing was counted on that day, or nothing was live then. See
    docs/statistics.md.

    Example: `nuncio stats --app shop --days 30`.
    """
    request = GetRegistryStatsRequest(app_id=app_id, days=days)

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.GetRegistryStats(request))
        if as_json:
            output.emit(as_document(answer))
        else:
            show(answer)

    ask_registry(work, where=where, as_json=as_json)


def as_document(answer: GetRegistryStatsResponse) -> dict[str, Any]:
    """The answer; without a stock where none was counted, for its zeros say nothing."""
    whole = document(answer)
    return whole if answer.stock.HasField("count_time") else {**whole, "stock": None}


def show(answer: GetRegistryStatsResponse) -> None:
    """For people."""
    counted_on = ""
    if answer.stock.HasField("count_time"):
        counted_at = answer.stock.count_time.ToDatetime(UTC)
        counted_on = counted_at.date().isoformat()
        output.say(f"counted {ago(counted_at, now=datetime.now(UTC))}")
        if more := registered_since(answer):
            output.say(f"{more:,} more have registered since, and are counted soon")
        if answer.stock.installations:
            _show_stock(answer.stock)
        elif not more:  # The days take some seconds, too.
            output.say(WAS_EMPTY)
    else:
        output.say(NOT_COUNTED)
    columns = ("day", *(f"{name}#" for name in DAY_COLUMNS))
    output.table(columns, [_day_row(day, counted_on) for day in answer.days])


def ago(then: datetime, *, now: datetime) -> str:
    """ "40 seconds ago", "3 hours ago": whole units, at least two of them; 1 second at least."""
    seconds = max(1, int((now - then).total_seconds()))
    unit = next((unit for unit in _UNITS if seconds >= 2 * unit), 1)
    return f"{span_text(timedelta(seconds=seconds - seconds % unit))} ago"


def registered_since(answer: GetRegistryStatsResponse) -> int:
    """How many the stock lacks for sure, 0 when they are too few for another count before long."""
    came = sum(day.registered - day.erased - day.deleted for day in answer.days)
    more = came - answer.stock.installations
    return more if more > 0 and more * 10 >= answer.stock.installations else 0


def _show_stock(stock: RegistryStock) -> None:
    rows = [
        ("all", stock.installations, ""),
        ("  live", stock.active, share(stock.validity_rate)),
        ("    stale", stock.stale, f"{share(stock.stale_share)} of the live"),
        ("  invalid", stock.invalid, ""),
        ("  expired", stock.expired, ""),
        ("  replaced", stock.replaced, ""),
    ]
    output.table(("installations", "#", ""), rows)
    opt_ins = [
        (
            word(Platform, each.platform, "PLATFORM_"),
            each.app_version or "other",
            each.active,
            each.permitted,
            share(each.rate),
        )
        for each in stock.opt_ins[:MOST_LINES]
    ]
    if opt_ins:
        output.table(("platform", "app version", "live#", "permitted#", "opt-in#"), opt_ins)
    _tell_of_more(len(stock.opt_ins))
    prompts = [
        (each.purpose, each.prompt_strategy, each.granted, each.denied, share(each.rate))
        for each in stock.prompts[:MOST_LINES]
    ]
    if prompts:
        output.table(("purpose", "asked by", "granted#", "denied#", "agreed#"), prompts)
    _tell_of_more(len(stock.prompts))
    users = [
        (
            f"{each.installations} or more" if each.installations >= 5 else each.installations,
            each.users,
        )
        for each in stock.users
    ]
    if users:
        output.table(("live installations", "users#"), users)


def _tell_of_more(lines: int) -> None:
    if lines > MOST_LINES:
        output.say(f"and {lines - MOST_LINES} more lines, which --json has")


def share(rate: float) -> str:
    """ "87.5%"."""
    return f"{rate:.1%}"


def _day_row(day: RegistryDay, counted_on: str) -> tuple[object, ...]:
    # The contract has 0 for a day without a count; of the day of the last one it is known.
    active = day.active if day.active or day.day == counted_on else UNKNOWN
    return (day.day, active, *(getattr(day, name) for name in DAY_COLUMNS[1:]))
