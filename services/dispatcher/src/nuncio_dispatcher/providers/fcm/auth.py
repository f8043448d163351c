"""Access tokens for FCM, from the service account with google-auth.

Source: Google, "Using OAuth 2.0 for server to server applications".
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import requests
import structlog
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Own
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import CredentialError, read_file
from nuncio_runtime.clock import Clock
from nuncio_runtime.secret import Secret

log = structlog.get_logger(__name__)

SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
FETCH_WITHIN: Final = 10.0
"""Seconds."""
REFRESH_BEFORE: Final = timedelta(minutes=5)
LAST_USE: Final = timedelta(minutes=1)
"""Before its end a token is no longer used: requests are on their way for a while."""
QUIET: Final = timedelta(seconds=10)
"""After a failed fetch, while the token before is still good."""
FRESH_FOR: Final = timedelta(minutes=1)
"""A token refused at this age was not refused for its age."""


class Bearer(Secret[str]):
    """The value of an `authorization` header."""

    __slots__ = ()


class AccessToken(NamedTuple):
    """A token, when it was fetched and when it ends."""

    bearer: Bearer
    fetched_at: datetime
    expires_at: datetime


class ServiceAccount(NamedTuple):
    """What a key file holds."""

    project_id: str
    credentials: Any
    """google-auth's; its repr shows no key."""


class AccessTokens:
    """Fetches access tokens, one at a time, and keeps the last one until shortly before its end.

    A fetch is everyone's: it goes on when a caller leaves, and all who wait learn what came of it.
    Meanwhile a token that has not ended is still good, and so it is when the fetch fails.
    """

    def __init__(self, account: ServiceAccount, *, ca_file: Path | None, clock: Clock) -> None:
        self._credentials = account.credentials
        self._ca_file = ca_file
        self._clock = clock
        self._token: AccessToken | None = None
        self._fetching: asyncio.Task[AccessToken | Answer] | None = None
        self._quiet_until = clock.now()

    async def current(self) -> AccessToken | Answer:
        """The token to use now, or the answer for all rows when there is none to be had."""
        now, token = self._clock.now(), self._token
        if token is not None and now < token.expires_at - REFRESH_BEFORE:
            return token
        is_good = token is not None and now < token.expires_at - LAST_USE
        if self._fetching is None and not (is_good and now < self._quiet_until):
            self._fetching = asyncio.create_task(self._fetch())
        if token is not None and is_good:
            return token
        assert self._fetching is not None, "without a token one is fetched at once"
        return await asyncio.shield(self._fetching)

    def refuse(self, refused: AccessToken) -> bool:
        """Forget a token that FCM no longer takes; False when it was too fresh to have ended."""
        if self._token is not None and self._token.bearer != refused.bearer:
            return True  # replaced since that request was made
        self._token = None
        return self._clock.now() - refused.fetched_at >= FRESH_FOR

    async def _fetch(self) -> AccessToken | Answer:
        now = self._clock.now()
        try:
            await asyncio.to_thread(self._refresh)
        except (GoogleAuthError, OSError) as error:
            self._quiet_until = self._clock.now() + QUIET
            return self._failure(error)
        finally:
            self._fetching = None
        bearer = Bearer(f"Bearer {self._credentials.token}")
        self._token = AccessToken(bearer, now, self._credentials.expiry.replace(tzinfo=UTC))
        return self._token

    def _refresh(self) -> None:
        """google-auth's own way, in a thread: it has no asynchronous one for service accounts."""
        with requests.Session() as session:
            session.trust_env = False
            session.verify = True if self._ca_file is None else str(self._ca_file)
            self._credentials.refresh(partial(Request(session), timeout=FETCH_WITHIN))

    def _failure(self, error: GoogleAuthError | OSError) -> Answer:
        """An endpoint that is unreachable or busy passes; one that says no needs a human."""
        passing = not isinstance(error, RefreshError) or error.retryable
        log.warning("fcm_no_access_token", error=type(error).__name__, passing=passing)
        if passing:
            return Answer(Verdict.RETRY, Own.NO_ACCESS)
        return Answer(Verdict.MISCONFIGURED, Own.NO_ACCESS, aftermath=Aftermath.PAUSE)


def load_account(settings: FcmSettings) -> ServiceAccount:
    """The service account. Raises CredentialError when the file is not a key file."""
    text = read_file(settings.service_account_file, key="service_account_file")
    name = settings.service_account_file.name
    try:
        info = json.loads(text)
        project_id = str(info["project_id"])
        credentials = Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
            info, scopes=[SCOPE]
        )
    except (ValueError, KeyError, TypeError, GoogleAuthError) as error:
        message = f"service_account_file: {name} is not a service account's JSON key file"
        raise CredentialError(message) from error
    return ServiceAccount(project_id, credentials)
