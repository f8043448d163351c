"""Base64 with the URL alphabet and no padding. Source: RFC 4648, section 5."""

import base64
import binascii


def encode(raw: bytes) -> str:
    """Without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """With or without padding. Raises ValueError for anything else."""
    if "+" in text or "/" in text:  # which the decoder would take as well
        raise ValueError("not base64url")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
