"""Which Web Push endpoints may be registered."""

import pytest

from nuncio_registry.config import WebPushSettings
from nuncio_registry.domain.endpoint import EndpointGuard

GUARD = EndpointGuard(
    hosts=WebPushSettings().allowed_hosts, origins=["https://127.0.0.1:8443", "https://push.test"]
)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def",
        "https://FCM.googleapis.com:443/wp/abc",
        "https://updates.push.services.mozilla.com/wpush/v2/abc",
        "https://wns2-am3p.notify.windows.com/w/?token=abc",
        "https://web.push.apple.com/abc",
        "https://127.0.0.1:8443/push/1",
        "https://push.test/1",
    ],
)
def test_known_push_services_pass(endpoint: str) -> None:
    assert GUARD.broken_rule(endpoint) is None


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://fcm.googleapis.com/a",
        "https://",
        "https://evilfcm.googleapis.com.example/a",
        "https://notfcm.googleapis.com/a",
        "https://xnotify.windows.com/a",
        "https://googleapis.com/a",
        "https://fcm.googleapis.com:8443/a",
        "https://fcm.googleapis.com:99999/a",
        "https://fcm.googleapis.com./a",
        "https://user@fcm.googleapis.com/a",
        "https://fcm.googleapis.com@127.0.0.1/a",
        "https://fcm.googleapis.com\\@127.0.0.1/a",
        "https://127.0.0.1/a",
        "https://127.0.0.1:8444/a",
        "https://user@127.0.0.1:8443/a",
        "https://[::1]/a",
        "https://[::1/a",
        "https://2130706433/a",
        "https://169.254.169.254/latest",
        "https://localhost/a",
        "https://fcm.googleapis.com/a b",
        "https://fcm.googleapis.com/ä",
        "https://fcm.googleapis.com/a\n",
    ],
)
def test_everything_else_is_refused(endpoint: str) -> None:
    assert GUARD.broken_rule(endpoint)
