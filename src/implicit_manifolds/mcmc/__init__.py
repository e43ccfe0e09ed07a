"""Samplers as pairs `init`, `step` over named tuples, and the one runner of many chains."""

from .constrained_langevin import ConstrainedLangevin as ConstrainedLangevin
from .langevin import Langevin as Langevin
from .run import Chains as Chains
from .run import run as run
from .uniform import uniform_chains as uniform_chains
