"""Lanes and checks of credentials, as people and programs see them."""

from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import provider_pb2
from nuncio.dispatcher.v1 import lane_pb2
from nuncio_cli import output
from nuncio_cli.names import word

COLUMNS: Final = (
    "lane",
    "state",
    "why",
    "since",
    "next try",
    "conn#",
    "in flight#",
    "waiting#",
    "rate/s#",
    "accepted#",
    "refused#",
    "failed#",
    "key",
)
_STYLES: Final = {lane_pb2.CHECK_RESULT_OK: "green", lane_pb2.CHECK_RESULT_FAILED: "red"}


def row(lane: lane_pb2.Lane) -> tuple[object, ...]:
    """A lane under COLUMNS."""
    return (
        name(lane),
        state(lane),
        reason(lane),
        _shown(_moment(lane.since_time)),
        _shown(_moment(lane.next_probe_time)),
        lane.connections,
        lane.in_flight,
        lane.waiting,
        _rate(lane),
        lane.answers.accepted,
        lane.answers.refused,
        lane.answers.failed,
        lane.credential.fingerprint,
    )


def name(lane: lane_pb2.Lane) -> str:
    """Provider, app and environment, such as "apns/shop/production"."""
    return f"{_provider(lane)}/{lane.app_id}/{_environment(lane)}"


def state(lane: lane_pb2.Lane) -> str:
    """ "ready", "paused" …"""
    return word(lane_pb2.LaneState, lane.state, "LANE_STATE_")


def reason(lane: lane_pb2.Lane) -> str:
    """Why it does not send, with the part of it that is concerned; empty when ready."""
    return f"{lane.part}: {lane.reason}" if lane.part else lane.reason


def document(lane: lane_pb2.Lane) -> dict[str, Any]:
    """A lane as JSON."""
    answers = lane.answers
    return {
        "app_id": lane.app_id,
        "provider": _provider(lane),
        "environment": _environment(lane),
        "origins": list(lane.origins),
        "transport": _transport(lane),
        "state": state(lane),
        "reason": lane.reason,
        "part": lane.part,
        "since_time": _text(lane.since_time),
        "next_probe_time": _text(lane.next_probe_time),
        "connections": lane.connections,
        "in_flight": lane.in_flight,
        "waiting": lane.waiting,
        "stream_limit": lane.stream_limit,
        "rate": lane.rate if lane.HasField("rate") else None,
        "allowed_rate": lane.allowed_rate if lane.HasField("allowed_rate") else None,
        "answers": {
            "accepted": answers.accepted,
            "refused": answers.refused,
            "failed": answers.failed,
        },
        "credential": _credential(lane.credential) if lane.HasField("credential") else None,
    }


def check_document(check: lane_pb2.CredentialCheck) -> dict[str, Any]:
    """A check as JSON."""
    return {
        "provider": _provider(check),
        "environment": _environment(check),
        "steps": [
            {"step": _step(step), "result": _result(step), "text": step.text}
            for step in check.steps
        ],
        "credential": _credential(check.credential) if check.HasField("credential") else None,
    }


def show_check(check: lane_pb2.CredentialCheck) -> None:
    """A check for people: a heading, and a line per step."""
    output.say(f"{_provider(check)}/{_environment(check)}", style="bold")
    for step in check.steps:
        text = f"  {_result(step):8}{_step(step):12}{step.text}"
        output.say(text, style=_STYLES.get(step.result, "dim"))


def _credential(credential: lane_pb2.LaneCredential) -> dict[str, Any]:
    return {
        "kind": word(lane_pb2.CredentialKind, credential.kind, "CREDENTIAL_KIND_"),
        "fingerprint": credential.fingerprint,
        "key_id": credential.key_id,
        "team_id": credential.team_id,
        "project_id": credential.project_id,
        "topic": credential.topic,
        "not_after_time": _text(credential.not_after_time),
        "load_time": _text(credential.load_time),
    }


def _provider(found: lane_pb2.Lane | lane_pb2.CredentialCheck) -> str:
    return word(provider_pb2.Provider, found.provider, "PROVIDER_")


def _environment(found: lane_pb2.Lane | lane_pb2.CredentialCheck) -> str:
    return word(provider_pb2.Environment, found.environment, "ENVIRONMENT_")


def _transport(lane: lane_pb2.Lane) -> str | None:
    return (
        word(lane_pb2.LaneTransport, lane.transport, "LANE_TRANSPORT_") if lane.transport else None
    )


def _step(step: lane_pb2.CheckStep) -> str:
    return word(lane_pb2.CheckStepKind, step.kind, "CHECK_STEP_KIND_")


def _result(step: lane_pb2.CheckStep) -> str:
    return word(lane_pb2.CheckResult, step.result, "CHECK_RESULT_")


def _rate(lane: lane_pb2.Lane) -> str:
    rate = f"{lane.rate:,.0f}" if lane.HasField("rate") else "unlimited"
    return f"{rate} of {lane.allowed_rate:,.0f}" if lane.HasField("allowed_rate") else rate


def _moment(timestamp: Timestamp) -> datetime | None:
    """None for one that is not set: nothing of a lane is of 1970."""
    return timestamp.ToDatetime(tzinfo=UTC) if timestamp.seconds else None


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}Z"


def _text(timestamp: Timestamp) -> str | None:
    return timestamp.ToJsonString() if timestamp.seconds else None
