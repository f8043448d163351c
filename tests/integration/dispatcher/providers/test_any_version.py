"""Push services without HTTP/2 are served all the same."""

from pathlib import Path

from nuncio_dispatcher.domain.model import Environment, Provider, Verdict
from nuncio_dispatcher.http2.exchange import Failure
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_simulator.contract import ProviderName, Shares
from nuncio_simulator.process import start_simulator
from tests.integration.dispatcher.providers.sending import (
    APP,
    MESSAGE,
    rows,
    soon,
    subscribed,
    verdicts,
    write_credentials,
)


async def test_a_push_service_without_http2_is_found_out_once_and_then_served(
    tmp_path: Path,
) -> None:
    simulated, credentials = tmp_path / "simulator", tmp_path / "credentials"
    simulated.mkdir()
    credentials.mkdir()
    async with start_simulator(simulated, webpush_http1_only=True) as simulator:
        write_credentials(credentials, simulator, "multiplex")
        lanes = FolderLanes(credentials, clock=SYSTEM_CLOCK)
        lane = lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)
        minted = await simulator.admin.mint(
            ProviderName.WEBPUSH, 30, shares=Shares(dead=0, throttled=0, slow=0)
        )
        targets = rows(subscribed(minted.subscriptions, key_id="first"))
        first = await lane.send(MESSAGE, targets, expires_at=soon())
        assert verdicts(first) == [Verdict.RETRY] * 30
        assert first.reasons == [Failure.NOT_HTTP2.value] * 30
        assert first.sent_at == [None] * 30
        second = await lane.send(MESSAGE, targets, expires_at=soon())
        assert verdicts(second) == [Verdict.ACCEPTED] * 30
        await lanes.aclose()
