"""Nothing that a lane or the libraries below it log holds a token or what was sent."""

import logging

import pytest

from nuncio_dispatcher.domain.model import Platform, TargetColumns
from nuncio_dispatcher.domain.ports import Lane
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import (
    MESSAGE,
    plain,
    rows,
    soon,
    subscribed,
)


@pytest.mark.parametrize("provider", [ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH])
async def test_tokens_and_messages_are_not_logged_at_any_level(
    simulator: Simulator,
    apns: Lane,
    fcm: Lane,
    web_push: Lane,
    provider: ProviderName,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lane = {ProviderName.APNS: apns, ProviderName.FCM: fcm, ProviderName.WEBPUSH: web_push}
    page = await _minted(simulator, provider)
    fault = Fault(provider=provider, kind=FaultKind.ANSWER, status=418, reason="teapot", count=1)
    await simulator.admin.fault(fault)
    with caplog.at_level(logging.DEBUG):
        await lane[provider].send(MESSAGE, page, expires_at=soon())
    written = caplog.text + "".join(capsys.readouterr()) + repr(page) + repr(lane[provider])
    assert "unlisted_answer" in written
    assert MESSAGE.title not in written
    for token in page.tokens:
        secret = token.reveal()
        assert secret not in written
        assert secret.rpartition("/")[2] not in written


async def _minted(simulator: Simulator, provider: ProviderName) -> TargetColumns:
    assert provider in (ProviderName.APNS, ProviderName.FCM, ProviderName.WEBPUSH)
    found = await simulator.admin.mint(provider, 5)
    if provider is ProviderName.WEBPUSH:
        return rows(subscribed(found.subscriptions), Platform.WEB)
    return rows(plain(found.tokens))
