"""What the registry, or the contract, refuses of a row, in the words of the file."""

import re
from typing import Final

from nuncio.registry.v1.registry_service_pb2 import Registration

# Paths in a registration whose last part is no field of a row.
ATTRIBUTE: Final = re.compile(r'facts\.attributes\["([^"]*)"\]')
CONSENT: Final = re.compile(r"consents\[([0-9]+)\]")
TOKENS: Final = {"token.apns": "the APNs token", "token.fcm": "the FCM token"}
PREFIXES: Final = ("token.web_push.", "facts.topics.", "facts.tags.", "facts.")


def field_of(path: str, registration: Registration) -> str:
    """The field of a row, such as "token" or "attributes.plan", that a path of a registration,
    such as "token.apns", was made from."""
    if path in TOKENS:
        return "token"
    if found := ATTRIBUTE.match(path):
        return f"attributes.{found[1]}"
    if found := CONSENT.match(path):
        return f"consents.{registration.consents[int(found[1])].purpose}"
    for prefix in PREFIXES:
        if path.startswith(prefix):
            return path.removeprefix(prefix).partition("[")[0]
    return path


def rule_of(path: str, rule: str) -> str:
    """The rule, with the kind of token that it is for."""
    return f"{TOKENS[path]} {rule}" if path in TOKENS else rule
