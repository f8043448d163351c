"""The shapes in which FCM v1 refuses.

Source: Firebase, "ErrorCode" and "FCM error codes"; shapes seen by others where those are silent
(an iOS 410 reported as 400, a detail-less 400, an HTML 502).
"""

from typing import Any, Final

from nuncio_simulator.provider import json_reply
from nuncio_simulator.wire import Headers, Reply

STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
BAD_GATEWAY: Final = (
    b"<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>Error 502 (Server Error)!!1</title>"
    b"<p><b>502.</b> That\xe2\x80\x99s an error.<p>The server encountered a temporary error and "
    b"could not complete your request.<p>Please try again in 30 seconds.</html>\n"
)
GATEWAY: Final = {
    "BAD_GATEWAY": Reply(502, ((b"content-type", b"text/html; charset=UTF-8"),), BAD_GATEWAY),
    "GATEWAY_TIMEOUT": Reply(504),
}
"""What does not come from FCM itself, and is no JSON."""
MISLEADING_401: Final = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential."
)


def fcm_error(code: str) -> dict[str, Any]:
    """The detail that names FCM's own error code."""
    return {"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code}


def apns_error(status: int, reason: str) -> dict[str, Any]:
    """The detail that quotes APNs."""
    return {
        "@type": "type.googleapis.com/google.firebase.fcm.v1.ApnsError",
        "statusCode": status,
        "reason": reason,
    }


def bad_request(violations: list[tuple[str, str]]) -> dict[str, Any]:
    """The detail that names fields and what is wrong with them; the request itself has no name."""
    fields = [
        {"field": field, "description": text} if field else {"description": text}
        for field, text in violations
    ]
    return {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": fields}


def error_info(reason: str) -> dict[str, Any]:
    """The detail that Google's front end gives."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": "fcm.googleapis.com"},
    }


def quota_failure(subject: str, description: str) -> dict[str, Any]:
    """The detail that says which quota is used up."""
    violation = {"subject": subject, "description": description}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def error_reply(
    status: int, message: str, *details: dict[str, Any], headers: Headers = ()
) -> Reply:
    """A JSON error in Google's form."""
    error: dict[str, Any] = {"code": status, "message": message, "status": STATUS[status]}
    if details:
        error["details"] = list(details)
    return json_reply(status, {"error": error}, headers)


REFUSALS: Final[dict[str, tuple[int, str, tuple[dict[str, Any], ...]]]] = {
    "UNREGISTERED": (404, "Requested entity was not found.", (fcm_error("UNREGISTERED"),)),
    "UNREGISTERED_IOS": (
        404,
        "Requested entity was not found.",
        (fcm_error("UNREGISTERED"), apns_error(410, "Unregistered")),
    ),
    "APNS_TOKEN_DISABLED": (
        400,
        "APNs device token is disabled.",
        (fcm_error("INVALID_ARGUMENT"), apns_error(410, "Unregistered")),
    ),
    "INVALID_TOKEN": (
        400,
        "The registration token is not a valid FCM registration token",
        (fcm_error("INVALID_ARGUMENT"),),
    ),
    "INVALID_TOKEN_FIELD": (
        400,
        "Request contains an invalid argument.",
        (
            fcm_error("INVALID_ARGUMENT"),
            bad_request([("message.token", "Invalid registration token")]),
        ),
    ),
    "INVALID_ARGUMENT": (
        400,
        "Request contains an invalid argument.",
        (fcm_error("INVALID_ARGUMENT"),),
    ),
    # Seen for a payload that is too large.
    "INVALID_ARGUMENT_BARE": (400, "Request contains an invalid argument.", ()),
    "THIRD_PARTY_AUTH_ERROR": (
        401,
        MISLEADING_401,
        (fcm_error("THIRD_PARTY_AUTH_ERROR"), apns_error(403, "InvalidProviderToken")),
    ),
    "BAD_ENVIRONMENT_KEY": (
        401,
        "Auth error from APNS or Web Push Service",
        (fcm_error("THIRD_PARTY_AUTH_ERROR"), apns_error(403, "BadEnvironmentKeyInToken")),
    ),
    "CREDENTIALS_MISSING": (401, MISLEADING_401, (error_info("CREDENTIALS_MISSING"),)),
    "ACCESS_TOKEN_EXPIRED": (401, MISLEADING_401, (error_info("ACCESS_TOKEN_EXPIRED"),)),
    "ACCESS_TOKEN_INVALID": (401, MISLEADING_401, (error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED"),)),
    "SENDER_ID_MISMATCH": (403, "SenderId mismatch", (fcm_error("SENDER_ID_MISMATCH"),)),
    "PERMISSION_DENIED": (
        403,
        "Permission 'cloudmessaging.messages.create' denied on resource (or it may not exist).",
        (error_info("IAM_PERMISSION_DENIED"),),
    ),
    "SERVICE_DISABLED": (
        403,
        "Firebase Cloud Messaging API has not been used in project before or it is disabled.",
        (error_info("SERVICE_DISABLED"),),
    ),
    # No FcmError: a wrong project or path, not a dead token.
    "NOT_FOUND": (404, "Requested entity was not found.", ()),
    "QUOTA_EXCEEDED": (
        429,
        "Quota exceeded for quota metric 'Messages sent' of service 'fcm.googleapis.com'.",
        (fcm_error("QUOTA_EXCEEDED"), quota_failure("project", "Message rate exceeded")),
    ),
    "DEVICE_QUOTA_EXCEEDED": (
        429,
        "Message rate to the device exceeded.",
        (fcm_error("QUOTA_EXCEEDED"), quota_failure("device", "Device message rate exceeded")),
    ),
    "TOPIC_QUOTA_EXCEEDED": (
        429,
        "Message rate to the topic exceeded.",
        (fcm_error("QUOTA_EXCEEDED"), quota_failure("topic", "Topic message rate exceeded")),
    ),
    "INTERNAL": (500, "Internal error encountered.", (fcm_error("INTERNAL"),)),
    "UNAVAILABLE": (503, "The service is currently unavailable.", (fcm_error("UNAVAILABLE"),)),
}

RARE_REFUSALS: Final[dict[str, tuple[int, str, tuple[dict[str, Any], ...]]]] = {
    # The legacy name of THIRD_PARTY_AUTH_ERROR.
    "APNS_AUTH_ERROR": (
        401,
        "Auth error from APNS or Web Push Service",
        (fcm_error("APNS_AUTH_ERROR"),),
    ),
    "UNSPECIFIED_ERROR": (500, "Unknown error.", (fcm_error("UNSPECIFIED_ERROR"),)),
}
"""Listed by Firebase, and not given by the simulator on its own account."""
NAMES: Final = frozenset({*REFUSALS, *RARE_REFUSALS, *GATEWAY})


def refusal(reason: str, headers: Headers = ()) -> Reply:
    """The refusal of that name, in one of the three tables. Raises KeyError for another name."""
    if reason in GATEWAY:
        reply = GATEWAY[reason]
        return reply._replace(headers=reply.headers + headers)
    table = RARE_REFUSALS if reason in RARE_REFUSALS else REFUSALS
    status, message, details = table[reason]
    return error_reply(status, message, *details, headers=headers)
