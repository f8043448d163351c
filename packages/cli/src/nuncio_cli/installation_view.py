"""Installations as people see them. Tokens themselves are never shown."""

from nuncio.common.v1.provider_pb2 import Platform, Provider
from nuncio.registry.v1.event_pb2 import InstallationEvent, InstallationEventKind
from nuncio.registry.v1.installation_pb2 import (
    AttributeValue,
    ConsentState,
    Installation,
    Permission,
)
from nuncio.registry.v1.token_pb2 import TokenState
from nuncio_cli import output
from nuncio_cli.names import word

# A list has no end that it could be laid out for: each line stands for itself.
HEADING = (
    f"{'installation':36}  {'platform':8}  {'token':8}  {'permission':12}  {'last seen':20}  user"
)


def line(installation: Installation) -> str:
    """One installation of a list."""
    return "  ".join(
        (
            f"{installation.installation_id:36}",
            f"{word(Platform, installation.platform, 'PLATFORM_'):8}",
            f"{token_state(installation):8}",
            f"{word(Permission, installation.facts.permission, 'PERMISSION_'):12}",
            f"{installation.facts.last_seen.ToDatetime():%Y-%m-%dT%H:%M:%SZ}",
            installation.user_id or "anonymous",
        )
    )


def event_line(event: InstallationEvent) -> str:
    """One event of the change feed."""
    kind = word(InstallationEventKind, event.kind, "INSTALLATION_EVENT_KIND_")
    time = event.event_time.ToDatetime()
    return f"{time:%Y-%m-%dT%H:%M:%SZ}  {event.installation_id}  {kind:18}  {event.detail}".rstrip()


def token_state(installation: Installation) -> str:
    """ "active", "invalid" …"""
    return word(TokenState, installation.token_state, "TOKEN_STATE_")


def show(installation: Installation) -> None:
    """Everything about one installation."""
    facts = installation.facts
    reason = installation.token_state_reason
    consents = [
        f"{purpose} {word(ConsentState, consent, 'CONSENT_STATE_')}"
        for purpose, consent in sorted(installation.consents.items())
    ]
    attributes = {name: _value(value) for name, value in sorted(facts.attributes.items())}
    token = f"{installation.token_fingerprint}… {token_state(installation)} {reason}"
    opened, died = installation.last_open_time, installation.token_death_time
    rows = {
        "installation": installation.installation_id,
        "platform": word(Platform, installation.platform, "PLATFORM_"),
        "provider": word(Provider, installation.provider, "PROVIDER_"),
        "user": installation.user_id or "anonymous",
        "token": token.rstrip(),
        "token died": died.ToJsonString() if installation.HasField("token_death_time") else "",
        "VAPID key": installation.vapid_key_id,
        "permission": word(Permission, facts.permission, "PERMISSION_"),
        "consents": ", ".join(consents),
        "language": facts.language,
        "country": facts.country,
        "time zone": facts.time_zone,
        "app version": facts.app_version,
        "SDK version": facts.sdk_version,
        "device": f"{facts.device_model} {facts.os_version}".strip(),
        "topics": ", ".join(facts.topics.topics),
        "tags": ", ".join(facts.tags.tags),
        "attributes": ", ".join(f"{name}={value}" for name, value in attributes.items()),
        "last seen": facts.last_seen.ToJsonString(),
        "last opened": opened.ToJsonString() if installation.HasField("last_open_time") else "",
        "registered": installation.register_time.ToJsonString(),
    }
    output.table(("", ""), [(name, value) for name, value in rows.items() if value])


def _value(value: AttributeValue) -> str:
    kind = value.WhichOneof("kind")
    if kind == "time":
        return value.time.ToJsonString()
    if kind == "number" and value.number.is_integer():
        return str(value.number).removesuffix(".0")
    return str(getattr(value, kind)) if kind else ""
