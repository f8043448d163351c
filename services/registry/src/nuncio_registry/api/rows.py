"""Rows of registrations: what they tell, and which rules of the contract they break."""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final

from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import DescriptorProto

from nuncio.common.v1.error_reason_pb2 import (
    ERROR_REASON_APP_NOT_FOUND,
    ERROR_REASON_INVALID_FIELD,
)
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api.convert import consents_of, facts_of
from nuncio_registry.api.values import time_of
from nuncio_registry.domain.endpoint import canonical
from nuncio_registry.domain.model import (
    Environment,
    Facts,
    Platform,
    Provider,
    PushToken,
    Registration,
)
from nuncio_registry.domain.ports.registration import Repeat
from nuncio_registry.domain.register import Refusal
from nuncio_registry.domain.tokens import plain_token, subscription_token
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.ids import uuid_of
from nuncio_runtime.interceptors.validation import violations

LARGEST_PAGE: Final = 1_000

# By number: a look into a dictionary costs a fifth of a call of the enumeration.
_PLATFORMS: Final = {platform.value: platform for platform in Platform}
_ENVIRONMENTS: Final = {0: Environment.PRODUCTION, **{e.value: e for e in Environment}}
_NO_FACTS: Final = Facts()
_PROVIDERS: Final = {"apns": Provider.APNS, "fcm": Provider.FCM, "web_push": Provider.WEB_PUSH}


def check_page(request: pb.RegisterTokensRequest) -> None:
    """Raise InvalidField when the page breaks a rule, whatever its rows do."""
    rows = request.registrations
    if len(rows) > LARGEST_PAGE:  # Before anybody looks at a million of them.
        raise InvalidField(FieldViolation("registrations", f"must be at most {LARGEST_PAGE} rows"))
    first = pb.RegisterTokensRequest(app_id=request.app_id, registrations=rows[:1])
    broken = [v for v in violations(first) if not v.field.startswith("registrations[")]
    if broken:
        raise InvalidField(*broken)


def refusal_of(row: pb.Registration, number: int) -> Refusal | None:
    """The first annotation that the row breaks, None when it keeps them all."""
    broken = violations(row)
    return Refusal(number, broken[0]) if broken else None


def row_error_from(refusal: Refusal) -> pb.RowError:
    """Why a row was refused."""
    return pb.RowError(
        row=refusal.row,
        reason=ERROR_REASON_INVALID_FIELD,
        field=refusal.violation.field,
        rule=refusal.violation.rule,
    )


def no_app_error(number: int) -> pb.RowError:
    """Why a row was refused that names an app that is not there."""
    return pb.RowError(
        row=number, reason=ERROR_REASON_APP_NOT_FOUND, field="app_id", rule="must be a known app"
    )


def repeat_of(row: pb.Registration, content_hash: Callable[[bytes], bytes]) -> Repeat:
    """What a row is held against what is stored by; content_hash: of `domain.repeats`.

    It need not have kept its annotations. Raises ValueError for an id that is none, InvalidField
    for an impossible time.
    """
    facts = row.facts
    observed = row.observed_at if row.HasField("observed_at") else None
    seen = facts.last_seen if facts.HasField("last_seen") else None
    installation_id = uuid_of(row.installation_id)
    observed_at = None if observed is None else time_of(observed, "observed_at")
    last_seen = None if seen is None else time_of(seen, "facts.last_seen")
    # The times are taken out and put back: to copy the row without them costs three times as much.
    if observed is not None:
        row.ClearField("observed_at")
    if seen is not None:  # Clearing a field of facts that are not there makes them.
        facts.ClearField("last_seen")
    content = row.SerializeToString(deterministic=True)
    if observed is not None:
        row.observed_at.CopyFrom(observed)
    if seen is not None:
        facts.last_seen.CopyFrom(seen)
    return Repeat(installation_id, content_hash(_CONTRACT + content), observed_at, last_seen)


def address_of(row: pb.Registration) -> str:
    """Equal for equal tokens, however they are written; it may be so for others, too."""
    token = row.token
    return token.apns.lower() or token.fcm or canonical(token.web_push.endpoint)


def registration_of(told: tuple[pb.Registration, Repeat | None]) -> Registration:
    """A row that keeps its annotations, and what `repeat_of` made of it.

    Raises InvalidField for an impossible time: then `repeat_of` made nothing.
    """
    row, repeat = told
    content_hash = None if repeat is None else repeat.content_hash
    if repeat is None:
        repeat = repeat_of(row, bytes)
    token = row.token
    kind = token.WhichOneof("kind") or ""
    return Registration(
        repeat.installation_id,
        _PLATFORMS[row.platform],
        _PROVIDERS[kind],
        _ENVIRONMENTS[row.environment],
        _token_of(token, kind),
        token.web_push.vapid_key_id if kind == "web_push" else "",
        row.user_id or None,  # What may not be empty is empty when it is not set.
        facts_of(row.facts, repeat.last_seen) if row.HasField("facts") else _NO_FACTS,
        consents_of(consents) if (consents := row.consents) else (),
        repeat.observed_at,
        content_hash,
    )


def _token_of(token: token_pb2.Token, kind: str) -> PushToken:
    if kind == "web_push":
        web_push = token.web_push
        return subscription_token(
            endpoint=web_push.endpoint, p256dh=web_push.p256dh, auth=web_push.auth
        )
    return plain_token(token.apns if kind == "apns" else token.fcm)


def _contract_of(message: Descriptor, seen: set[str]) -> Iterator[bytes]:
    """The message's definition, annotations included, and those of the messages in it."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    definition = DescriptorProto()
    message.CopyToProto(definition)
    yield definition.SerializeToString(deterministic=True)
    for field in message.fields:
        if field.message_type is not None:
            yield from _contract_of(field.message_type, seen)


# What an older contract took for a field that it does not know was not stored, and what it allowed
# may not be allowed now: under another contract nothing is a repeat.
_CONTRACT: Final = sha256(b"".join(_contract_of(pb.Registration.DESCRIPTOR, set()))).digest()
