"""The call about what an app has, and what happened."""

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import statistics_pb2
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.model import ChangeKind, ConsentState, Permission
from nuncio_registry.domain.ports.statistics import OptIns, Prompts, Stock
from nuncio_registry.domain.statistics import Day


class StatisticsCalls(Calls):
    """Statistics."""

    async def GetRegistryStats(
        self, request: pb.GetRegistryStatsRequest, context: Context
    ) -> pb.GetRegistryStatsResponse:
        stock, days = await self._use.statistics.tell(request.app_id, days=request.days)
        return pb.GetRegistryStatsResponse(
            stock=statistics_pb2.RegistryStock() if stock is None else _stock_from(stock),
            days=map(_day_from, days),
        )


def _stock_from(stock: Stock) -> statistics_pb2.RegistryStock:
    return statistics_pb2.RegistryStock(
        count_time=timestamp_of(stock.counted_at),
        installations=stock.installations,
        active=stock.active,
        invalid=stock.invalid,
        expired=stock.expired,
        replaced=stock.replaced,
        stale=stock.stale,
        validity_rate=_rate(stock.active, stock.installations),
        stale_share=_rate(stock.stale, stock.active),
        opt_ins=map(_opt_ins_from, stock.opt_ins),
        prompts=map(_prompts_from, stock.prompts),
        users=[
            statistics_pb2.UserCount(installations=number, users=users)
            for number, users in stock.users.items()
        ],
    )


def _opt_ins_from(counted: OptIns) -> statistics_pb2.OptInCount:
    return statistics_pb2.OptInCount(
        platform=provider_pb2.Platform.ValueType(counted.platform),
        app_version=counted.app_version,
        active=counted.active,
        permitted=counted.permitted,
        rate=_rate(counted.permitted, counted.active),
    )


def _prompts_from(counted: Prompts) -> statistics_pb2.PromptCount:
    return statistics_pb2.PromptCount(
        purpose=counted.purpose,
        prompt_strategy=counted.prompt_strategy,
        granted=counted.granted,
        denied=counted.denied,
        rate=_rate(counted.granted, counted.granted + counted.denied),
    )


def _day_from(day: Day) -> statistics_pb2.RegistryDay:
    return statistics_pb2.RegistryDay(
        day=day.day.isoformat(),
        active=day.active,
        registered=day.count(ChangeKind.REGISTERED),
        rotated=day.count(ChangeKind.ROTATED),
        replaced=day.count(ChangeKind.REPLACED),
        invalidated=day.count(ChangeKind.INVALIDATED),
        expired=day.count(ChangeKind.EXPIRED),
        restored=day.count(ChangeKind.RESTORED),
        consents_granted=day.count(ChangeKind.CONSENT_CHANGED, ConsentState.GRANTED),
        consents_denied=day.count(ChangeKind.CONSENT_CHANGED, ConsentState.DENIED),
        permissions_denied=day.count(ChangeKind.PERMISSION_CHANGED, Permission.DENIED),
        erased=day.count(ChangeKind.ERASED),
        deleted=day.count(ChangeKind.DELETED),
    )


def _rate(part: int, whole: int) -> float:
    """0 of none."""
    return part / whole if whole else 0.0
