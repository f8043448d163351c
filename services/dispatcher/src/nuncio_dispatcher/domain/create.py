"""Stores a dispatch before anyone is told that it will be sent."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

import structlog

from nuncio_dispatcher.domain.dispatch import (
    SHORTEST_LIFE,
    Audience,
    DeliveryPolicy,
    Dispatch,
    KeyRange,
    NewDispatch,
    Work,
    key_ranges,
)
from nuncio_dispatcher.domain.errors import DispatchExists
from nuncio_dispatcher.domain.model import Message
from nuncio_dispatcher.domain.ports import Dispatches, Lanes, Targeting
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Order:
    """A dispatch as the caller asks for it. content_digest: SHA-256 over all of it.

    expires_at: None leaves it to the message's time to live.
    """

    app_id: str
    client_ref: str
    campaign: str
    purpose: str
    test: bool
    delivery: DeliveryPolicy
    message: Message
    audience: Audience
    expires_at: datetime | None
    content_digest: bytes


class Create:
    """Checks orders and makes dispatches of them.

    shards: into how many key ranges an expression is cut; named installations and users are few
    enough for one. created: told the id of every new dispatch.
    """

    def __init__(
        self,
        dispatches: Dispatches,
        targeting: Targeting,
        lanes: Lanes,
        *,
        clock: Clock,
        shards: int,
        created: Callable[[UUID], None],
    ) -> None:
        self._dispatches = dispatches
        self._targeting = targeting
        self._lanes = lanes
        self._clock = clock
        self._shards = shards
        self._created = created

    async def create(self, order: Order) -> tuple[Dispatch, bool]:
        """The dispatch, and whether it is new. An order that is known already is not checked again.

        Raises DispatchExists, MessageInvalid, AudienceInvalid, InvalidField, and what targeting
        says of the app and the audience.
        """
        known = await self._known(order)
        if known is not None:
            return known, False
        now = self._clock.now()
        self._check_expiry(order, now)
        self._lanes.check(order.message)
        await self._targeting.check(order.app_id, order.audience)
        new = self._new(order, now)
        if await self._dispatches.add(new):
            self._created(new.work.dispatch_id)
            log.info("dispatch_stored", dispatch_id=str(new.work.dispatch_id), app_id=order.app_id)
            return await self._dispatches.get(new.work.dispatch_id), True
        return await self._raced(order), False

    async def _known(self, order: Order) -> Dispatch | None:
        known = await self._dispatches.find(order.app_id, order.client_ref)
        if known is None:
            return None
        if known.content_digest != order.content_digest:
            raise DispatchExists(
                app_id=order.app_id, client_ref=order.client_ref, dispatch_id=known.dispatch_id
            )
        return await self._dispatches.get(known.dispatch_id)

    async def _raced(self, order: Order) -> Dispatch:
        """Somebody else has stored the same client_ref since it was looked for."""
        known = await self._known(order)
        if known is None:
            message = "a dispatch that was in the way has gone"
            raise RuntimeError(message)
        return known

    def _check_expiry(self, order: Order, now: datetime) -> None:
        if order.expires_at is not None and order.expires_at <= now:
            raise InvalidField(FieldViolation("expire_time", "must be in the future"))

    def _new(self, order: Order, now: datetime) -> NewDispatch:
        life = max(order.message.longest_life(now), SHORTEST_LIFE)
        return NewDispatch(
            work=Work(
                dispatch_id=uuid4(),
                app_id=order.app_id,
                campaign=order.campaign,
                purpose=order.purpose,
                test=order.test,
                delivery=order.delivery,
                message=order.message,
                audience=order.audience,
                expires_at=order.expires_at or now + life,
            ),
            client_ref=order.client_ref,
            content_digest=order.content_digest,
            created_at=now,
            shards=key_ranges(self._shards) if order.audience.expression else (KeyRange(),),
        )
