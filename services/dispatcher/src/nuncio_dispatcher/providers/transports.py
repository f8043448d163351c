"""Which transport a lane sends with, and what goes with that choice."""

import ssl
from functools import partial

from nuncio_dispatcher.domain.model import WebPushToken
from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Origin, Transport
from nuncio_dispatcher.http2.network import Dialer, Vet
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_dispatcher.providers.apns.settings import ORIGINS, ApnsSettings
from nuncio_dispatcher.providers.credentials import Settings, Slot
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import IDLE_AGE, SESSION_AGE, tls_context
from nuncio_dispatcher.providers.reference.any_version import AnyVersion
from nuncio_dispatcher.providers.reference.apns import ReferenceApns
from nuncio_dispatcher.providers.reference.encryption import encrypt as reference_encrypt
from nuncio_dispatcher.providers.reference.http import ReferenceHttp
from nuncio_dispatcher.providers.reference.network import Network, VettedNetwork
from nuncio_dispatcher.providers.webpush.client import Encrypt
from nuncio_dispatcher.providers.webpush.encryption import encrypt
from nuncio_dispatcher.providers.webpush.endpoints import vet_addresses
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock


def transport(slot: Slot, settings: Settings, *, tls: ssl.SSLContext, clock: Clock) -> Transport:
    """What carries a lane's requests, as its settings say. tls: for this lane alone."""
    if settings.transport == "reference":
        return _reference(slot, settings, tls=tls, clock=clock)
    dial, policy = Dialer(tls, vet=_vet(settings)), _policy(settings)
    if isinstance(settings, WebPushSettings):
        # Apple, Google and Mozilla have HTTP/2; a push service of one's own may not.
        other = _http(settings, tls=tls_context(settings.ca_file), clock=clock)
        return AnyVersion(dial, other=other, policy=policy, clock=clock)
    return Multiplex(dial=dial, policy=policy, clock=clock)


def _reference(slot: Slot, settings: Settings, *, tls: ssl.SSLContext, clock: Clock) -> Transport:
    if isinstance(settings, ApnsSettings):
        return ReferenceApns(
            apns_origin(slot, settings),
            tls=tls,
            connections=settings.connections,
            idle_after=settings.idle_after,
            clock=clock,
        )
    return _http(settings, tls=tls, clock=clock)


def _http(
    settings: FcmSettings | WebPushSettings, *, tls: ssl.SSLContext, clock: Clock
) -> ReferenceHttp:
    vet = _vet(settings)
    network = Network() if vet is None else VettedNetwork(vet)
    return ReferenceHttp(tls=tls, in_flight=settings.in_flight, clock=clock, network=network)


def encryption(settings: WebPushSettings) -> Encrypt:
    """What encrypts for subscriptions; pywebpush next to the other libraries of the reference."""
    return reference_encrypt if settings.transport == "reference" else _encrypt


def apns_origin(slot: Slot, settings: ApnsSettings) -> Origin:
    """Where a lane to APNs sends to."""
    return settings.origin or ORIGINS[slot.environment]


def _encrypt(plaintext: bytes, token: WebPushToken) -> bytes | None:
    return encrypt(plaintext, token.p256dh, token.auth)


def _policy(settings: Settings) -> Policy:
    if isinstance(settings, ApnsSettings):
        return Policy(connections=settings.connections, idle_after=settings.idle_after)
    # Before Google would end them: FCM after an hour, and when idle for four minutes.
    return Policy(
        connections=settings.connections,
        age_limit=SESSION_AGE,
        idle_after=IDLE_AGE,
    )


def _vet(settings: Settings) -> Vet | None:
    """Only Web Push calls hosts that come from outside."""
    if not isinstance(settings, WebPushSettings):
        return None
    return partial(vet_addresses, allowed=frozenset(settings.allowed_origins))
