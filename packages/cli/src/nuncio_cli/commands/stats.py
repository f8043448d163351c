"""nuncio stats: what an app has, and what happened day by day."""

from typing import Annotated

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
from nuncio_cli.stubs import RegistryStub

# Of a day's numbers, those that say where the tokens went; --json has all.
DAY_COLUMNS = ("active", "registered", "rotated", "invalidated", "expired", "restored", "erased")
MOST_VERSIONS = 10


@reaching("registry")
def stats(
    *,
    app_id: AppId,
    days: Annotated[int, typer.Option(min=1, max=400, help="How many days, today included.")] = 7,
    where: Where,
    as_json: AsJson = False,
) -> None:
    """Show how many installations an app has, who may be reached, and what happened day by day.

    Stock is as of the last count; days are up to date within seconds. See docs/statistics.md.

    Example: `nuncio stats --app shop --days 30`.
    """
    request = GetRegistryStatsRequest(app_id=app_id, days=days)

    async def work(stub: RegistryStub) -> None:
        answer = await patiently(lambda: stub.GetRegistryStats(request))
        if as_json:
            output.emit(document(answer))
        else:
            _show(answer)

    ask_registry(work, where=where, as_json=as_json)


def _show(answer: GetRegistryStatsResponse) -> None:
    if answer.stock.HasField("count_time"):
        _show_stock(answer.stock)
    else:
        output.say("nothing was counted yet")
    columns = ("day", *(f"{name}#" for name in DAY_COLUMNS))
    output.table(columns, [_day_row(day) for day in answer.days])


def _show_stock(stock: RegistryStock) -> None:
    rows = [
        ("all", stock.installations, ""),
        ("  live", stock.active, share(stock.validity_rate)),
        ("    stale", stock.stale, f"{share(stock.stale_share)} of the live"),
        ("  invalid", stock.invalid, ""),
        ("  expired", stock.expired, ""),
        ("  replaced", stock.replaced, ""),
    ]
    output.table((f"installations, {stock.count_time.ToJsonString()}", "#", ""), rows)
    opt_ins = [
        (
            word(Platform, each.platform, "PLATFORM_"),
            each.app_version or "other",
            each.active,
            each.permitted,
            share(each.rate),
        )
        for each in stock.opt_ins[:MOST_VERSIONS]
    ]
    if opt_ins:
        output.table(("platform", "app version", "live#", "permitted#", "opt-in#"), opt_ins)
    prompts = [
        (each.purpose, each.prompt_strategy, each.granted, each.denied, share(each.rate))
        for each in stock.prompts[:MOST_VERSIONS]
    ]
    if prompts:
        output.table(("purpose", "asked by", "granted#", "denied#", "agreed#"), prompts)
    users = [
        (
            f"{each.installations} or more" if each.installations >= 5 else each.installations,
            each.users,
        )
        for each in stock.users
    ]
    if users:
        output.table(("live installations", "users#"), users)


def share(rate: float) -> str:
    """ "87.5%"."""
    return f"{rate:.1%}"


def _day_row(day: RegistryDay) -> tuple[object, ...]:
    return (day.day, *(getattr(day, name) for name in DAY_COLUMNS))
