"""The certificate that the command prints."""

from ..certificate.parts import describe
from ..certificate.topology import Topology, topology
from ..ebim.model import EBIM


def certificate_of(model: EBIM) -> tuple[Topology | None, str]:
    """The certificate of a model where it can have one, and what it says or why there is none."""
    try:
        found = topology(model.manifold)
    except (ValueError, ImportError) as error:
        return None, f"no certificate: {error}"
    return found, describe(found)
