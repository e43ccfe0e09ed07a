"""The low-dimensional experiments by name: those of the paper, and known laws beside them."""

from collections.abc import Callable
from functools import partial

from experiments.common.problem import Problem
from experiments.laws import projected_normals, torus
from experiments.paper import fig1_circle, fig4_two_circles, fig5_earth, fig6_amino_acids

PROBLEMS: dict[str, Callable[[int], Problem]] = {
    "von_mises": fig1_circle.problem,
    "von_mises_mixture": fig4_two_circles.problem,
    "projected_normals": projected_normals.problem,
    "torus": torus.problem,
    **{name: partial(fig5_earth.problem, data=name) for name in fig5_earth.FILES},
    "amino_acids": fig6_amino_acids.problem,
}
OTHER_AMINO_ACIDS: dict[str, Callable[[int], Problem]] = {
    f"amino_acid_{code}": partial(fig6_amino_acids.problem, amino_acid=code) for code in "ACDEFHIKLMNPQRSTVWY"
}
