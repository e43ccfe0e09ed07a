"""Samplers as pairs `init`, `step` over named tuples, and the one runner of many chains."""

from ..errors import ChainsStuck as ChainsStuck
from .adapters import energy_from_log_density as energy_from_log_density
from .adapters import energy_from_potential as energy_from_potential
from .arviz import to_arviz as to_arviz
from .constrained_hmc import ConstrainedHMC as ConstrainedHMC
from .constrained_langevin import ConstrainedLangevin as ConstrainedLangevin
from .constrained_nuts import ConstrainedNUTS as ConstrainedNUTS
from .geodesic_langevin import GeodesicLangevin as GeodesicLangevin
from .langevin import Langevin as Langevin
from .one_chain import Chain as Chain
from .one_chain import sample_chain as sample_chain
from .outcome import Reason as Reason
from .reparametrised import Bijection as Bijection
from .reparametrised import biject_to as biject_to
from .run import Chains as Chains
from .run import run as run
from .sampler import Sampler as Sampler
from .summary import Summary as Summary
from .summary import summary as summary
from .uniform import uniform_chains as uniform_chains
from .warm_up import WarmUp as WarmUp
from .warm_up import warm_up as warm_up
