"""Messages as the providers get them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nuncio_dispatcher.domain.model import (
    Message,
    Platform,
    Priority,
    PushToken,
    WebPushToken,
)
from nuncio_dispatcher.providers.apns import payload as apns
from nuncio_dispatcher.providers.fcm import payload as fcm
from nuncio_dispatcher.providers.reference.encryption import encrypt
from nuncio_dispatcher.providers.webpush import payload as webpush
from nuncio_dispatcher.providers.webpush.encryption import PLAINTEXT_LIMIT

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(days=2)
FULL = Message(
    title="Grüße",
    body="Zeile 👋",
    image="https://example.com/a.png",
    sound="default",
    badge=0,
    link="https://example.com/offers",
    data={"order": "17"},
    time_to_live=timedelta(hours=2),
    collapse_key="offers",
    priority=Priority.NORMAL,
    category="offers",
    thread="week-47",
)
SILENT = Message(data={"sync": "now"})


def apns_form(message: Message) -> tuple[dict[str, str], dict[str, Any]]:
    form = apns.render(message, topic="com.example.app", now=NOW, expires_at=EXPIRES)
    return dict(form.headers), json.loads(form.body)


def fcm_message(message: Message, platform: int) -> dict[str, Any]:
    form = fcm.render(message, platform, now=NOW, expires_at=EXPIRES)
    parsed: dict[str, Any] = json.loads(form.body(PushToken('a"token')))["message"]
    return parsed


def test_apns_gets_every_part_in_its_place() -> None:
    headers, body = apns_form(FULL)
    assert headers == {
        "apns-topic": "com.example.app",
        "apns-push-type": "alert",
        "apns-priority": "5",
        "apns-expiration": str(int((NOW + timedelta(hours=2)).timestamp())),
        "apns-collapse-id": "offers",
    }
    assert body == {
        "aps": {
            "alert": {"title": "Grüße", "body": "Zeile 👋"},
            "sound": "default",
            "badge": 0,
            "category": "offers",
            "thread-id": "week-47",
            "mutable-content": 1,
        },
        "link": "https://example.com/offers",
        "image": "https://example.com/a.png",
        "order": "17",
    }


def test_a_message_that_shows_nothing_is_a_background_push_of_priority_5() -> None:
    headers, body = apns_form(SILENT)
    assert headers["apns-push-type"] == "background"
    assert headers["apns-priority"] == "5"
    assert body == {"aps": {"content-available": 1}, "sync": "now"}


def test_a_badge_alone_is_shown() -> None:
    headers, _ = apns_form(Message(badge=3))
    assert headers["apns-push-type"] == "alert"
    assert headers["apns-priority"] == "10"


def test_the_messages_own_data_goes_before_our_names() -> None:
    _, body = apns_form(Message(title="x", link="https://a.example", data={"link": "mine"}))
    assert body["link"] == "mine"
    message = fcm_message(
        Message(title="x", link="https://a.example", data={"link": "mine"}), Platform.ANDROID
    )
    assert message["data"]["link"] == "mine"


def test_now_or_never_is_zero_for_every_provider() -> None:
    message = Message(title="x", time_to_live=timedelta(0))
    assert apns_form(message)[0]["apns-expiration"] == "0"
    assert fcm_message(message, Platform.ANDROID)["android"]["ttl"] == "0s"
    form = webpush.render(message, now=NOW, expires_at=EXPIRES)
    assert form.headers["ttl"] == "0"


def test_no_provider_keeps_trying_after_the_dispatch_has_expired() -> None:
    soon = NOW + timedelta(seconds=90)
    message = Message(title="x", time_to_live=timedelta(days=1))
    form = apns.render(message, topic="t", now=NOW, expires_at=soon)
    assert dict(form.headers)["apns-expiration"] == str(int(soon.timestamp()))
    rendered = fcm.render(message, Platform.ANDROID, now=NOW, expires_at=soon)
    assert json.loads(rendered.body(PushToken("t")))["message"]["android"]["ttl"] == "90s"
    assert webpush.render(message, now=NOW, expires_at=soon).headers["ttl"] == "90"


def test_android_gets_its_own_block_only() -> None:
    assert fcm_message(FULL, Platform.ANDROID) == {
        "token": 'a"token',
        "notification": {
            "title": "Grüße",
            "body": "Zeile 👋",
            "image": "https://example.com/a.png",
        },
        "android": {
            "priority": "NORMAL",
            "ttl": "7200s",
            "collapse_key": "offers",
            "notification": {
                "sound": "default",
                "channel_id": "offers",
                "tag": "offers",
                "notification_count": 0,
            },
        },
        "data": {"link": "https://example.com/offers", "order": "17"},
    }


def test_a_platform_from_the_future_gets_androids_block() -> None:
    assert "android" in fcm_message(FULL, 99)


def test_apple_devices_behind_fcm_get_what_apns_would_get() -> None:
    message = fcm_message(FULL, Platform.IOS)
    assert set(message) == {"token", "apns", "data"}
    assert message["apns"]["payload"] == {"aps": apns_form(FULL)[1]["aps"]}
    assert message["apns"]["headers"]["apns-expiration"] == apns_form(FULL)[0]["apns-expiration"]
    assert message["apns"]["fcm_options"] == {"image": "https://example.com/a.png"}


def test_data_only_for_apple_has_priority_5() -> None:
    headers = fcm_message(SILENT, Platform.IOS)["apns"]["headers"]
    assert headers["apns-priority"] == "5"
    assert headers["apns-push-type"] == "background"


def test_browsers_behind_fcm_get_web_push_headers() -> None:
    message = fcm_message(FULL, Platform.WEB)
    assert message["webpush"] == {
        "headers": {"TTL": "7200", "Urgency": "normal", "Topic": "offers"},
        "fcm_options": {"link": "https://example.com/offers"},
    }


def test_an_app_link_is_no_web_link() -> None:
    message = fcm_message(Message(title="x", link="shop://offers"), Platform.WEB)
    assert "fcm_options" not in message["webpush"]


def test_a_data_only_message_has_no_notification() -> None:
    for platform in (Platform.ANDROID, Platform.IOS, Platform.WEB):
        assert "notification" not in fcm_message(SILENT, platform)


def test_web_push_tells_windows_whether_to_keep_the_message() -> None:
    kept = webpush.render(FULL, now=NOW, expires_at=EXPIRES)
    assert kept.wns_headers["x-wns-cache-policy"] == "cache"
    dropped = webpush.render(Message(time_to_live=timedelta(0)), now=NOW, expires_at=EXPIRES)
    assert dropped.wns_headers["x-wns-cache-policy"] == "no-cache"
    assert "x-wns-cache-policy" not in kept.headers


def test_web_push_headers_say_how_urgent_and_what_is_replaced() -> None:
    form = webpush.render(FULL, now=NOW, expires_at=EXPIRES)
    assert form.headers == {
        "ttl": "7200",
        "urgency": "normal",
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        "topic": "offers",
    }
    assert json.loads(form.plaintext)["data"] == {"order": "17"}


def subscription() -> tuple[WebPushToken, Any]:
    key = generate_private_key(SECP256R1())
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return WebPushToken("https://push.example/1", p256dh=point, auth=bytes(range(16))), key


def test_each_message_is_encrypted_with_a_fresh_key_and_salt() -> None:
    token, key = subscription()
    bodies = [encrypt(b"hello", token) for _ in range(2)]
    for body in bodies:
        opened = http_ece.decrypt(body, private_key=key, auth_secret=token.auth)
        assert opened == b"hello"
    first, second = (body[:16] + body[21:86] for body in bodies if body is not None)
    assert first[:16] != second[:16]
    assert first[16:] != second[16:]


def test_keys_that_are_no_keys_give_no_body() -> None:
    bad_point = WebPushToken("https://push.example/1", p256dh=b"\x04" + bytes(64), auth=bytes(16))
    short = WebPushToken("https://push.example/1", p256dh=b"", auth=b"")
    assert encrypt(b"hello", bad_point) is None
    assert encrypt(b"hello", short) is None


def test_the_largest_plaintext_fits_into_4096_bytes() -> None:
    token, _ = subscription()
    body = encrypt(bytes(PLAINTEXT_LIMIT), token)
    assert body is not None
    assert len(body) == 4096


@pytest.mark.parametrize(
    ("provider", "limit"),
    [(apns, apns.PAYLOAD_LIMIT), (webpush, PLAINTEXT_LIMIT)],
    ids=["apns", "web push"],
)
def test_sizes_are_counted_in_bytes_of_utf8(provider: Any, limit: int) -> None:
    def size(text: str) -> int:
        message = Message(body=text)
        if provider is webpush:
            return len(webpush.plaintext(message))
        return len(apns.render(message, topic="t", now=NOW, expires_at=EXPIRES).body)

    room = limit - size("ü" * 10) + 20
    fits = Message(body="ü" * (room // 2) + "x" * (room % 2))
    assert provider.violations(fits) == []
    found = provider.violations(Message(body=fits.body + "x"))
    assert [violation.field for violation in found] == ["message"]
    assert str(limit) in found[0].rule


def test_fcm_counts_keys_and_values() -> None:
    text = "x" * 2_000
    fits = Message(data={"k": text, "l": "y" * 2_000})
    assert fcm.violations(fits) == []
    (found,) = fcm.violations(Message(title="t" * 60, data={**fits.data, "k" * 60: ""}))
    assert "4096 bytes" in found.rule
