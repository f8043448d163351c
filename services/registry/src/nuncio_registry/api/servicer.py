"""nuncio.registry.v1.RegistryService."""

from nuncio_registry.api.apps import AppCalls
from nuncio_registry.api.installations import InstallationCalls
from nuncio_registry.api.lifecycle import LifecycleCalls
from nuncio_registry.api.registration import RegistrationCalls
from nuncio_registry.api.selection import SelectionCalls


class RegistryServicer(
    AppCalls,
    RegistrationCalls,
    InstallationCalls,
    SelectionCalls,
    LifecycleCalls,
):
    """Answers the calls of the contract, group by group."""
