"""What keeps 768 constraints apart: `python -m experiments.images.isometry` compares penalties, widths and starts.

The paper's bounds on ‖Jᵀv‖ (η = η_max = 1, without negatives), isometry penalties of several weights, along F as well,
wider perceptrons, and networks that start at random and not as a plane; in colour, the penalties alone. For each the
singular values of J where it matters, the conjugate-gradient iterations of a tangent projection there, and how far test
images lie from the zero set.
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.command import claim_file, main
from experiments.images.lenet import IMAGES
from experiments.images.models import fit_image_manifold
from experiments.images.run import made_by_images, spectrum
from experiments.images.scales import COLOUR_ISOMETRY, COLOUR_RESIDUAL_ISOMETRY, Settings, settings_of
from experiments.images.zeros import on_manifold, residuals
from implicit_manifolds._loops import bounded_while
from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.datasets.images import ImageData, load_images
from implicit_manifolds.manifold.tangent import linearize, operators

SHOWN, MOST = 8, 2000
"""Images whose Jacobian is formed; conjugate-gradient iterations at most."""


@dataclass(frozen=True)
class IsometryOptions:
    """data, steps of training, seed. out: directory of the JSON file. replace: an earlier one may be replaced."""

    data: ImageData = "mnist"
    steps: int = 1500
    seed: int = 0
    out: Path = IMAGES
    replace: bool = False


def variants(settings: Settings) -> dict[str, tuple[Settings, bool]]:
    """Settings by name, and whether F starts as a plane."""

    def with_weights(**weights) -> Settings:
        return replace(settings, manifold=replace(settings.manifold, **weights))

    along = {"residual_isometry_weight": COLOUR_RESIDUAL_ISOMETRY}
    if settings.mixer is not None:
        heavy = {"isometry_weight": COLOUR_ISOMETRY}
        return {
            "isometry 30": (with_weights(isometry_weight=30.0, residual_isometry_weight=0.0), True),
            f"isometry {COLOUR_ISOMETRY:g}": (with_weights(**heavy, residual_isometry_weight=0.0), True),
            f"isometry {COLOUR_ISOMETRY:g}, and along F": (with_weights(**heavy, **along), True),
        }
    bound = with_weights(isometry_weight=0.0, rank_weight=30.0, maximum_singular_value=1.0)
    weights = {f"isometry {weight:g}": (with_weights(isometry_weight=weight), True) for weight in (1.0, 30.0, 200.0)}
    return {
        "bounds on ‖Jᵀv‖ 30, random start": (bound, False),
        "bounds on ‖Jᵀv‖ 30": (bound, True),
        "isometry 30, random start": (settings, False),
        **weights,
        "isometry 30, and along F": (with_weights(**along), True),
        "isometry 30, at all of each batch": (with_weights(isometry_points=None), True),
        "isometry 30, twice as wide": (replace(settings, hidden=(1024, 1024)), True),
    }


def run_isometry(options: IsometryOptions) -> list[dict[str, Any]]:
    """Train and judge each variant; returns the lines, also written to a JSON file."""
    path = options.out / f"{options.data}-isometry-seed{options.seed}.json"
    claim_file(path, options.replace)
    images, test = (load_images(options.data, part)[0] for part in ("train", "test"))
    settings, lines = settings_of(options.data, "reduced"), []
    settings = replace(settings, manifold=replace(settings.manifold, num_steps=options.steps))
    for name, (varied, plane) in variants(settings).items():
        key, training = jax.random.key(options.seed), {"progress": True, "checkpoint_dir": None}
        started = time.process_time()
        mdf, _ = fit_image_manifold(key, jnp.asarray(images), varied, training, plane=plane)
        cpu = time.process_time() - started
        # Where J has lost its rank no zero may be reached; then what counts is where the steps end.
        ends, reached = on_manifold(mdf, test[: settings.projected])
        distance = np.linalg.norm(ends - test[: settings.projected], axis=1)
        line: dict[str, Any] = {"variant": name, "cpu_seconds": cpu, **made_by_images()}
        line |= {"residual": float(residuals(mdf, test[:1000]).mean())}
        line |= {"lost": float(1 - reached.mean()), "distance": float(distance.mean())}
        line |= {f"σ {share}": value for share, value in spectrum(mdf, ends[:SHOWN]).items()}
        line |= {"iterations": float(iterations(mdf, jnp.asarray(ends[:SHOWN])).mean())}
        print(json.dumps(line, ensure_ascii=False), flush=True)
        lines.append(line)
    path.write_text(json.dumps(lines, indent=1, ensure_ascii=False) + "\n")
    return lines


@jax.jit
def iterations(mdf, points):
    """Conjugate-gradient iterations that project a random direction onto the tangent space at points, (N,)."""

    def one(x, direction):
        push, pull = operators(mdf, linearize(mdf, x))
        right = push(direction)
        limit = relative_tolerance(x.dtype) * jnp.linalg.norm(right)

        def body(carry):
            residual, along = carry
            image = push(pull(along))
            square = jnp.vdot(residual, residual)
            remaining = residual - square / jnp.vdot(along, image) * image
            return remaining, remaining + jnp.vdot(remaining, remaining) / square * along

        return bounded_while(lambda carry: jnp.linalg.norm(carry[0]) > limit, body, (right, right), MOST)[1]

    return jax.vmap(one)(points, jax.random.normal(jax.random.key(0), points.shape))


if __name__ == "__main__":
    main(run_isometry, IsometryOptions)
