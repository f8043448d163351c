"""What providers would refuse of a message: the one place where that is asked."""

from nuncio_dispatcher.domain.model import Destination, Message, Provider
from nuncio_dispatcher.providers.apns import payload as apns
from nuncio_dispatcher.providers.fcm import payload as fcm
from nuncio_dispatcher.providers.webpush import payload as webpush
from nuncio_runtime.errors import FieldViolation


def violations(message: Message, *, to: Destination | None = None) -> list[FieldViolation]:
    """The broken rules of every provider, or of one destination's; see Lanes.check."""
    if message.says_nothing():
        return [FieldViolation("message", "must show something, have data or overrides")]
    if to is None:
        return [
            *apns.violations(message),
            *fcm.violations(message),
            *webpush.violations(message),
        ]
    match to.provider:
        case Provider.APNS:
            return apns.violations(message, token=to.token)
        case Provider.FCM:
            return fcm.violations(message, token=to.token, platform=to.platform)
        case Provider.WEB_PUSH:
            return webpush.violations(message)
