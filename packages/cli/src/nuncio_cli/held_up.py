"""What holds a dispatch up: lanes of its app that cannot send, why, and what to do about it."""

from collections.abc import Iterable, Sequence, Set
from typing import Any, Final, NamedTuple

from nuncio.dispatcher.v1 import lane_pb2
from nuncio.dispatcher.v1.dispatcher_service_pb2 import ListLanesRequest
from nuncio_cli import lane_view
from nuncio_cli.stubs import DispatcherStub
from nuncio_runtime.errors import ServiceError

NO_FILE: Final = "CREDENTIAL_NOT_FOUND"
ADD: Final = (
    "write {what} in the dispatcher's credentials folder (NUNCIO_DISPATCHER_CREDENTIALS; with "
    "`nuncio up` it is `credentials` in the data folder), as docs/real-providers.md says"
)
MEND: Final = "mend the credential; `nuncio credentials check {app}` goes through it step by step"
ADVICE: Final = {
    lane_pb2.LANE_STATE_MISCONFIGURED: MEND,
    lane_pb2.LANE_STATE_PAUSED: f"the provider refuses the credential: {MEND}",
    lane_pb2.LANE_STATE_DOWN: "the provider does not answer; nuncio tries again by itself",
    lane_pb2.LANE_STATE_SLOWED: "the provider asked for less; nuncio goes on by itself",
}


class HeldUp(NamedTuple):
    """A lane that does not send as it should, and what waits for it with it."""

    lane: str
    """Provider, app and environment; stars for all of them when there is no credential at all."""
    state: str
    reason: str
    advice: str

    def line(self) -> str:
        """For people."""
        why = f": {self.reason}" if self.reason else ""
        return f"what is for lane {self.lane} waits: {self.state}{why}; {self.advice}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return self._asdict()


class Lanes(NamedTuple):
    """How the lanes of an app stand: those that do not send as they should, and those that do."""

    held_up: Sequence[HeldUp]
    ready: Set[str] = frozenset()


async def all_lanes(dispatcher: DispatcherStub, app_id: str) -> list[lane_pb2.Lane]:
    """The lanes of an app; of all apps when that is empty."""
    found: list[lane_pb2.Lane] = []
    request = ListLanesRequest(app_id=app_id, page_size=1000)
    while True:
        page = await dispatcher.ListLanes(request)
        found += page.lanes
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def lanes_of(dispatcher: DispatcherStub, app_id: str) -> Lanes | None:
    """The app's lanes, None when the dispatcher cannot say now.

    It tells of the replica that answers.
    """
    try:
        found = await all_lanes(dispatcher, app_id)
    except ServiceError as error:
        if error.reason != NO_FILE:
            return None  # Following goes on; its own calls tell when the dispatcher is gone.
        advice = ADD.format(what=f"{app_id}.toml")
        return Lanes([HeldUp(f"*/{app_id}/*", "misconfigured", "NO_CREDENTIAL", advice)])
    return sorted_out(found)


def sorted_out(lanes: Iterable[lane_pb2.Lane]) -> Lanes:
    """The lanes by whether they send as they should."""
    held_up: list[HeldUp] = []
    ready: set[str] = set()
    for lane in lanes:
        if lane.state == lane_pb2.LANE_STATE_READY:
            ready.add(lane_view.name(lane))
        else:
            held_up.append(_held_up(lane))
    return Lanes(held_up, ready)


def _held_up(lane: lane_pb2.Lane) -> HeldUp:
    advice = ADVICE.get(lane.state, "see `nuncio lanes`").format(app=lane.app_id)
    if lane.reason.startswith("NO_CREDENTIAL"):
        advice = ADD.format(what=f"that section into {lane.app_id}.toml")
    return HeldUp(lane_view.name(lane), lane_view.state(lane), lane_view.reason(lane), advice)
