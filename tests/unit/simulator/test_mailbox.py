"""What waits for a device that is out of reach."""

import pytest

from nuncio_simulator.contract import ProviderName
from nuncio_simulator.mailbox import Mailbox
from nuncio_simulator.tokens import Known
from tests.unit.simulator import test_apns, test_fcm, test_webpush
from tests.unit.simulator.world import ManualClock, World

MONTH = 30 * 86_400


def test_nothing_waits_for_a_device_in_reach() -> None:
    mailbox = Mailbox(ManualClock())
    mailbox.store(b"core", "id", slot=None, lasts=True)
    assert not mailbox
    assert mailbox.come_back(b"core") == []


def out_of_reach(world: World, provider: ProviderName) -> Known:
    token = world.mint(provider)
    world.population.mailbox.leave(token.core)
    return token


def test_apns_stores_the_newest_notification_for_a_device_and_app(world: World) -> None:
    token = out_of_reach(world, ProviderName.APNS)
    bearer = world.bearer()
    sent = [
        test_apns.send(world, test_apns.alert(world, token, authorization=bearer, **options))
        for options in ({}, {"apns_expiration": b"9999999999"}, {"apns_expiration": b"0"})
    ]
    assert world.population.mailbox.come_back(token.core) == [sent[1].accepted_id]


def test_a_topic_replaces_what_waits_at_a_push_service(world: World) -> None:
    token = out_of_reach(world, ProviderName.WEBPUSH)
    headers: list[dict[str, bytes]] = [{"topic": b"a"}, {}, {"topic": b"b"}, {"topic": b"a"}]
    sent = [test_webpush.send(world, test_webpush.push(world, token, **each)) for each in headers]
    test_webpush.send(world, test_webpush.push(world, token, ttl=b"0"))
    expected = [sent[number].accepted_id for number in (1, 2, 3)]
    assert world.population.mailbox.come_back(token.core) == expected


@pytest.mark.parametrize(("away", "kept"), [(MONTH - 1, True), (MONTH + 1, False)])
def test_fcm_discards_for_a_device_that_was_away_for_a_month(
    world: World, away: float, kept: bool
) -> None:
    token = world.mint(ProviderName.FCM)
    world.population.mailbox.leave(token.core, world.clock() - away)
    result = test_fcm.send(world, {"token": token.text})
    assert result.reply.status == 200
    assert world.population.mailbox.come_back(token.core) == [result.accepted_id] * kept


def test_fcm_keeps_four_collapse_keys(world: World) -> None:
    token = out_of_reach(world, ProviderName.FCM)
    sent = [
        test_fcm.send(world, {"token": token.text, "android": {"collapse_key": key}})
        for key in ("a", "b", "c", "a", "d", "e")
    ]
    test_fcm.send(world, {"token": token.text, "android": {"ttl": "0s"}})
    expected = [sent[number].accepted_id for number in (2, 3, 4, 5)]
    assert world.population.mailbox.come_back(token.core) == expected
