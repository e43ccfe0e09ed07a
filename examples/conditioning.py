"""What a partial observation says
===============================

A density on a sphere is learned from points. Of a further point only x and y are measured, with noise: which place on the
learned manifold M is it? Chains on M whose energy is that of the model plus the misfit draw from the posterior. The
figure shows draws of the prior and of the posterior, in which the side of the sphere stays in doubt.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.synthetic import projected_normal_sphere

# %%
# Data are directions of normal vectors about (0.7, 0, 0.7), more of them above the plane z = 0 than below. Units are metres.

data = projected_normal_sphere(np.random.default_rng(0), 1000, means=((0.7, 0.0, 0.7),))
config = im.FitConfig(
    zero_set=im.ManifoldConfig(restarts=2, warmup_steps=1000, num_steps=600),
    likelihood=im.LikelihoodConfig(members=2, num_steps=300, kernel=False),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), data, 1, config).model

# %%
# What was measured, and its noise. A model's ``mdf`` and ``energy`` take standardised points; ``model.scaling`` takes these
# back to the units of the data, in which the misfit is.

measured, noise = np.array([0.5, 0.4]), 0.15  # m


def misfit(point):
    """Minus the log-likelihood of a place, (3,) to ()."""
    return jnp.sum(((point[:2] - measured) / noise) ** 2) / 2


def energy(model, z):
    """Minus the log-posterior at a standardised point of M, (3,) to ()."""
    return model.energy(z) + misfit(model.scaling.data_point(z))


# %%
# Two parts of M are far apart and both fit. With the model's charts the chains also propose fresh points of M, so that they
# cross between the two.

manifold = model.manifold
sampler = im.mcmc.ConstrainedHMC(
    manifold.mdf, jax.tree_util.Partial(energy, model), box=manifold.box, atlas=manifold.atlas, num_steps=3
)
chains = im.mcmc.run(jax.random.key(1), sampler, manifold.anchors[:100], 300, num_warmup=200)
found = im.mcmc.summary(chains)
print(found)
posterior = model.scaling.restore(chains.positions.reshape(-1, 3))
