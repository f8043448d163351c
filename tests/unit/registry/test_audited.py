"""What the audit of a call tells, and what it never does."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.api.audited import ADMINISTRATIVE, READS_OF_TOKENS
from nuncio_registry.domain.audit import Audit, Caller, merged
from nuncio_registry.domain.ports.audit import AuditEvent, AuditFilter, AuditMark, AuditPage
from nuncio_runtime.clock import ManualClock
from tests.unit.registry.builders import APP, NOW

CALLER = Caller(principal="dispatcher", peer="192.0.2.1", request_id="r1")


class Paper:
    """An audit trail that keeps what was appended, page by page."""

    def __init__(self) -> None:
        self.pages: list[list[AuditEvent]] = []

    async def append(self, events: Sequence[AuditEvent]) -> None:
        self.pages.append(list(events))

    async def page(self, wanted: AuditFilter, *, before: AuditMark | None, limit: int) -> AuditPage:
        raise NotImplementedError

    async def delete_before(self, time: datetime, limit: int) -> int:
        raise NotImplementedError


def event(request_id: str = "r1", principal: str = "", **details: str) -> AuditEvent:
    return AuditEvent(NOW, principal, "192.0.2.1", "SelectTargets", APP, request_id, details)


def test_equal_reads_of_a_page_become_one_that_counts_them() -> None:
    events = [
        event("r1", purpose="news"),
        event("r2", purpose="news")._replace(recorded_at=NOW + timedelta(milliseconds=1)),
        event("r3", purpose="offers"),
        event("r4", principal="somebody", purpose="news"),
    ]
    assert merged(events) == [
        event("r1", purpose="news", count="2"),
        event("r3", purpose="offers"),
        event("r4", principal="somebody", purpose="news"),
    ]


async def test_a_read_is_stored_when_its_record_returns() -> None:
    paper = Paper()
    async with Audit(paper, ManualClock(NOW)) as audit:
        await audit.record_read("SelectTargets", CALLER, app_id=APP, details={})
        assert paper.pages == [
            [AuditEvent(NOW, "dispatcher", "192.0.2.1", "SelectTargets", APP, "r1", {})]
        ]


def test_every_call_that_the_contract_wants_audited_is() -> None:
    assert set(READS_OF_TOKENS) == {"SelectTargets"}
    assert set(ADMINISTRATIVE) == {
        "CreateApp", "UpdateApp", "DeleteApp", "MergeUsers", "RestoreTokens", "EraseUser",
        "EraseInstallation", "ExportUser", "ListAuditEvents", "ListErasures",
    }  # fmt: skip
    assert all(hasattr(rpc.RegistryServiceServicer, name) for name in ADMINISTRATIVE)


@pytest.mark.parametrize(
    ("name", "request_", "told"),
    [
        (
            "CreateApp",
            pb.CreateAppRequest(
                app=app_pb2.App(app_id=APP, display_name="Shop", stale_after=Duration(seconds=7200))
            ),
            {"display_name": "Shop", "stale_after": "7200s"},
        ),
        (
            "UpdateApp",
            pb.UpdateAppRequest(app_id=APP, retention=Duration(seconds=86400)),
            {"retention": "86400s"},
        ),
        (
            "RestoreTokens",
            pb.RestoreTokensRequest(
                app_id=APP, start_time=Timestamp(), reasons=["a", "b"], lane="l", dry_run=True
            ),
            {
                "start_time": "1970-01-01T00:00:00+00:00",
                "reasons": "a,b",
                "lane": "l",
                "dry_run": "true",
            },
        ),
        ("ListAuditEvents", pb.ListAuditEventsRequest(method="EraseUser"), {"method": "EraseUser"}),
        ("DeleteApp", pb.DeleteAppRequest(app_id=APP), {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_details_tell_what_it_was_about(name: str, request_: Message, told: dict[str, str]) -> None:
    assert ADMINISTRATIVE[name](request_, NO_USE_CASES) == told


# These details need none.
NO_USE_CASES: Any = None
