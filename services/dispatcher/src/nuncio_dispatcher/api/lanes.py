"""The messages about lanes and credentials to the domain and back."""

from typing import Final

from nuncio.common.v1 import provider_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import lane_pb2
from nuncio_dispatcher.api.convert import timestamp_to
from nuncio_dispatcher.domain.lane_status import (
    CredentialCheck,
    CredentialFacts,
    LaneStatus,
    Reloaded,
)
from nuncio_dispatcher.domain.lanes import LaneKey
from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_runtime.cursors import text_of
from nuncio_runtime.paging import PageTokenMismatch, decode_page_token, encode_page_token

_APP_ID_CHARACTERS: Final = 128  # As in the contract.


def lane_cursor(request: pb.ListLanesRequest) -> LaneKey | None:
    """Where the page starts; None for the first one. Raises PageTokenMismatch."""
    cursor = decode_page_token(request.page_token, filter_digest=_filter(request))
    if cursor is None:
        return None
    if len(cursor) < len(b"pe"):
        raise PageTokenMismatch
    return text_of(cursor[2:], most=_APP_ID_CHARACTERS), cursor[0], cursor[1]


def next_lane_token(request: pb.ListLanesRequest, last: LaneStatus) -> str:
    """The token of the page after `last`."""
    cursor = bytes((last.provider, last.environment)) + last.app_id.encode()
    return encode_page_token(cursor, filter_digest=_filter(request))


def lane_to(lane: LaneStatus) -> lane_pb2.Lane:
    """A lane as the contract has it."""
    condition, traffic = lane.condition, lane.traffic
    return lane_pb2.Lane(
        app_id=lane.app_id,
        provider=provider_pb2.Provider.ValueType(lane.provider),
        environment=provider_pb2.Environment.ValueType(lane.environment),
        origins=lane.origins,
        transport=lane_pb2.LaneTransport.ValueType(lane.transport or 0),
        state=lane_pb2.LaneState.ValueType(condition.state),
        reason=condition.reason,
        part=condition.part,
        since_time=timestamp_to(condition.since),
        next_probe_time=timestamp_to(condition.next_probe_at),
        connections=traffic.connections,
        in_flight=traffic.in_flight,
        waiting=traffic.waiting,
        stream_limit=traffic.stream_limit,
        rate=lane.rate,
        allowed_rate=lane.allowed_rate,
        answers=lane_pb2.LaneAnswers(**lane.answers._asdict()),
        credential=_credential(lane.credential),
    )


def slot_from(
    request: pb.CheckCredentialRequest,
) -> tuple[Provider | None, Environment | None]:
    """What is to be checked; None: all."""
    provider = Provider(request.provider) if request.provider else None
    return provider, Environment(request.environment) if request.environment else None


def check_to(check: CredentialCheck) -> lane_pb2.CredentialCheck:
    """A check as the contract has it."""
    return lane_pb2.CredentialCheck(
        provider=provider_pb2.Provider.ValueType(check.provider),
        environment=provider_pb2.Environment.ValueType(check.environment),
        steps=[
            lane_pb2.CheckStep(
                kind=lane_pb2.CheckStepKind.ValueType(step.kind),
                result=lane_pb2.CheckResult.ValueType(step.result),
                text=step.text,
            )
            for step in check.steps
        ],
        credential=_credential(check.credential),
    )


def reloaded_to(reloaded: Reloaded) -> pb.ReloadCredentialsResponse:
    """What a reload came to, as the contract has it."""
    return pb.ReloadCredentialsResponse(**reloaded._asdict())


def _credential(facts: CredentialFacts | None) -> lane_pb2.LaneCredential | None:
    if facts is None:
        return None
    return lane_pb2.LaneCredential(
        kind=lane_pb2.CredentialKind.ValueType(facts.kind),
        fingerprint=facts.fingerprint,
        key_id=facts.key_id,
        team_id=facts.team_id,
        project_id=facts.project_id,
        topic=facts.topic,
        not_after_time=timestamp_to(facts.not_after),
        load_time=timestamp_to(facts.loaded_at),
    )


def _filter(request: pb.ListLanesRequest) -> bytes:
    return f"lanes\0{request.app_id}".encode()
