"""Reading and verifying the JSON Web Tokens that clients send. Source: RFC 7515, RFC 7519."""

from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

# What a claim means is each provider's own business; here only the signature counts.
OPTIONS: Final[Any] = {
    "verify_aud": False,
    "verify_exp": False,
    "verify_iat": False,
    "verify_iss": False,
    "verify_jti": False,
    "verify_nbf": False,
    "verify_sub": False,
}


class BadJwtError(ValueError):
    """Not a JWT, or its signature is not by the key."""


def verify_jwt(
    token: str, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token signed with ES256 or RS256, as the key has it.

    Raises BadJwtError.
    """
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePublicKey) else "RS256"
    try:
        read = jwt.decode_complete(token, key, algorithms=[algorithm], options=OPTIONS)
    except (jwt.PyJWTError, ValueError) as error:
        raise BadJwtError("the JWT is not valid") from error
    return read["header"], read["payload"]
