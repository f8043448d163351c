"""Messages to values of the domain, and back. Messages have kept their annotations by then."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.registry.v1 import app_pb2, installation_pb2, predicate_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.values import (
    attribute_from,
    attributes_of,
    duration_from,
    duration_of,
    time_of,
    timestamp_of,
    value_of,
)
from nuncio_registry.domain.apps import Policies
from nuncio_registry.domain.keys import KeySpan
from nuncio_registry.domain.language import canonical_language
from nuncio_registry.domain.model import (
    App,
    ConsentChange,
    ConsentState,
    DeadToken,
    Facts,
    FactsChange,
    Installation,
    Permission,
    Suppression,
)
from nuncio_registry.domain.predicate import (
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Predicate,
)
from nuncio_registry.domain.select import TargetPage
from nuncio_runtime.errors import FieldViolation, InvalidField

KEY_BYTES: Final = 16

# By number: a look into a dictionary costs a fifth of a call of the enumeration.
_PERMISSIONS: Final = {0: None, **{permission.value: permission for permission in Permission}}
_STATES: Final = {state.value: state for state in ConsentState}


def last_seen_of(facts: installation_pb2.InstallationFacts) -> datetime | None:
    """None when it is not set. Raises InvalidField for an impossible time."""
    return time_of(facts.last_seen, "facts.last_seen") if facts.HasField("last_seen") else None


def facts_of(facts: installation_pb2.InstallationFacts, last_seen: datetime | None) -> Facts:
    """Fields that are not set are None; last_seen: of `last_seen_of`.

    Raises InvalidField for an impossible time.
    """
    has = facts.HasField
    # Each registration pays for this: arguments by name cost twice as much, and so does it to go
    # through a repeated field of protobuf itself instead of a slice of it, which is a list.
    return Facts(
        _PERMISSIONS[facts.permission],
        canonical_language(language) if (language := facts.language) else None,
        facts.country or None,
        facts.time_zone or None,
        facts.app_version or None,
        facts.os_version or None,
        # These two may be set to nothing.
        facts.device_model or ("" if has("device_model") else None),
        facts.sdk_version or ("" if has("sdk_version") else None),
        tuple(sorted(facts.topics.topics[:])) if has("topics") else None,
        attributes_of(attributes, "facts.attributes") if (attributes := facts.attributes) else None,
        last_seen,
        tuple(sorted(facts.tags.tags[:])) if has("tags") else None,
    )


def change_of(request: pb.UpdateInstallationRequest) -> FactsChange:
    """What an update changes. Raises InvalidField for an impossible time."""
    return FactsChange(
        facts=facts_of(request.facts, last_seen_of(request.facts)),
        add_topics=tuple(request.add_topics.topics),
        remove_topics=tuple(request.remove_topics.topics),
        remove_attributes=tuple(request.remove_attributes),
        add_tags=tuple(request.add_tags.tags),
        remove_tags=tuple(request.remove_tags.tags),
    )


def consents_of(changes: Sequence[installation_pb2.ConsentChange]) -> tuple[ConsentChange, ...]:
    """Changes of consent, in order."""
    return tuple(
        [
            ConsentChange(
                change.purpose,
                _STATES[change.state],
                change.source,
                change.prompt_strategy,
                change.policy_version,
                change.actor,
            )
            for change in changes[:]  # See `facts_of`.
        ]
    )


def consents_from(
    consents: Mapping[str, ConsentState],
) -> dict[str, installation_pb2.ConsentState.ValueType]:
    """The latest state of each purpose."""
    return {
        purpose: installation_pb2.ConsentState.ValueType(state)
        for purpose, state in consents.items()
    }


def app_from(app: App) -> app_pb2.App:
    """An app as stored."""
    return app_pb2.App(
        app_id=app.app_id,
        display_name=app.display_name,
        stale_after=duration_from(app.stale_after),
        create_time=timestamp_of(app.created_at),
        expire_after=duration_from(app.expire_after),
        retention=duration_from(app.retention),
    )


def policies_of(
    told: app_pb2.App | pb.UpdateAppRequest | pb.PreviewHygieneRequest, path: str = ""
) -> Policies:
    """Policies that are not set are None. Raises InvalidField for an impossible duration."""
    has = told.HasField
    return Policies(
        duration_of(told.stale_after, f"{path}stale_after") if has("stale_after") else None,
        duration_of(told.expire_after, f"{path}expire_after") if has("expire_after") else None,
        duration_of(told.retention, f"{path}retention") if has("retention") else None,
    )


def installation_from(stored: Installation) -> installation_pb2.Installation:
    """An installation without its token."""
    return installation_pb2.Installation(
        installation_id=str(stored.installation_id),
        platform=provider_pb2.Platform.ValueType(stored.platform),
        provider=provider_pb2.Provider.ValueType(stored.provider),
        environment=provider_pb2.Environment.ValueType(stored.environment),
        user_id=stored.user_id,
        token_state=token_pb2.TokenState.ValueType(stored.token_state),
        token_state_reason=stored.token_state_reason,
        token_fingerprint=stored.token_fingerprint,
        facts=_facts_from(stored.facts),
        consents=consents_from(stored.consents),
        create_time=timestamp_of(stored.created_at),
        register_time=timestamp_of(stored.registered_at),
        token_change_time=timestamp_of(stored.token_changed_at),
        last_open_time=timestamp_of(stored.last_opened_at) if stored.last_opened_at else None,
        token_death_time=timestamp_of(stored.died_at) if stored.died_at else None,
        vapid_key_id=stored.vapid_key_id,
    )


def _facts_from(facts: Facts) -> installation_pb2.InstallationFacts:
    attributes = (facts.attributes or {}).items()
    return installation_pb2.InstallationFacts(
        permission=installation_pb2.Permission.ValueType(
            facts.permission or Permission.UNDETERMINED
        ),
        language=facts.language,
        country=facts.country,
        time_zone=facts.time_zone,
        app_version=facts.app_version,
        os_version=facts.os_version,
        device_model=facts.device_model,
        sdk_version=facts.sdk_version,
        topics=installation_pb2.TopicSet(topics=facts.topics or ()),
        attributes={name: attribute_from(value) for name, value in attributes},
        last_seen=timestamp_of(facts.last_seen) if facts.last_seen else None,
        tags=installation_pb2.TagSet(tags=facts.tags or ()),
    )


def optional_predicate_of(
    request: pb.ListInstallationsRequest | pb.SelectTargetsRequest | pb.CountTargetsRequest,
) -> Predicate | None:
    """The condition of a request, None when there is none."""
    return predicate_of(request.predicate) if request.HasField("predicate") else None


def predicate_of(node: predicate_pb2.Predicate, path: str = "predicate") -> Predicate:
    """The tree of a condition. Protobuf's parser has bounded its depth: 100 messages."""
    match node.WhichOneof("node"):
        case "all_of":
            return AllOf(_operands_of(node.all_of.operands, f"{path}.all_of"))
        case "any_of":
            return AnyOf(_operands_of(node.any_of.operands, f"{path}.any_of"))
        case "none_of":
            return NoneOf(predicate_of(node.none_of, f"{path}.none_of"))
        case _:
            return _comparison_of(node.comparison, f"{path}.comparison")


def _operands_of(operands: Iterable[predicate_pb2.Predicate], path: str) -> tuple[Predicate, ...]:
    return tuple(predicate_of(node, f"{path}.operands[{i}]") for i, node in enumerate(operands))


def _comparison_of(node: predicate_pb2.Comparison, path: str) -> Comparison:
    return Comparison(
        field=Field(node.field),
        operator=Operator(node.operator),
        values=tuple(value_of(v, f"{path}.values[{i}]") for i, v in enumerate(node.values)),
        attribute=node.attribute,
    )


def span_of(request: pb.SelectTargetsRequest) -> KeySpan:
    """The keys of the range that come after the cursor. Raises InvalidField for a bad cursor."""
    span = KeySpan()
    if request.range.low:
        span = span._replace(first=UUID(bytes=request.range.low).int)
    if request.range.high:
        span = span._replace(last=UUID(bytes=request.range.high).int - 1)
    if not request.cursor:
        return span
    if len(request.cursor) != KEY_BYTES:
        raise InvalidField(FieldViolation("cursor", "must be the cursor of a page"))
    return span.after(UUID(bytes=request.cursor))


def page_from(page: TargetPage) -> pb.SelectTargetsResponse:
    """A page of targets."""
    return pb.SelectTargetsResponse(
        page=target_pb2.TargetPage(
            count=len(page.tokens),
            installation_ids=page.installation_ids,
            token_refs=page.token_refs,
            platforms=page.platforms,
            providers=page.providers,
            environments=page.environments,
            tokens=page.tokens,
            web_push_keys=page.web_push_keys,
            vapid_key_ids=page.vapid_key_ids,
            registered_at=page.registered_at,
        ),
        suppressed=suppressed_from(page.suppressed),
        cursor=page.cursor.bytes,
    )


def suppressed_from(counts: Mapping[Suppression, int]) -> list[target_pb2.SuppressedCount]:
    """Counts in the order of the checks."""
    return [
        target_pb2.SuppressedCount(
            reason=target_pb2.SuppressionReason.ValueType(reason), count=counts[reason]
        )
        for reason in sorted(counts)
    ]


def dead_token_of(token: pb.DeadToken, position: int) -> DeadToken:
    """A reported token. Raises InvalidField for an impossible time."""
    return DeadToken(
        installation_id=UUID(bytes=token.installation_id),
        token_ref=token.token_ref,
        dead_since=time_of(token.dead_since, f"tokens[{position}].dead_since"),
        reason=token.reason,
        lane=token.lane,
        campaign=token.campaign,
    )
