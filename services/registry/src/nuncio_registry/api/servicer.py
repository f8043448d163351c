"""nuncio.registry.v1.RegistryService."""

from nuncio_registry.api.apps import AppCalls
from nuncio_registry.api.audited import audit_calls
from nuncio_registry.api.calls import UseCases
from nuncio_registry.api.feed import FeedCalls
from nuncio_registry.api.hygiene import HygieneCalls
from nuncio_registry.api.identity import IdentityCalls
from nuncio_registry.api.installations import InstallationCalls
from nuncio_registry.api.lifecycle import LifecycleCalls
from nuncio_registry.api.privacy import PrivacyCalls
from nuncio_registry.api.registration import RegistrationCalls
from nuncio_registry.api.selection import SelectionCalls
from nuncio_registry.api.statistics import StatisticsCalls


class RegistryServicer(
    AppCalls,
    RegistrationCalls,
    InstallationCalls,
    IdentityCalls,
    SelectionCalls,
    LifecycleCalls,
    FeedCalls,
    HygieneCalls,
    StatisticsCalls,
    PrivacyCalls,
):
    """Answers the calls of the contract, group by group; some of them audited."""

    def __init__(self, use: UseCases) -> None:
        super().__init__(use)
        audit_calls(self, use)
