"""What a partial observation says
===============================

A density on a sphere is learned from points. Of a further point only x and y are measured, with noise: which place on
the learned manifold M is it? Chains on M whose energy is that of the model plus the misfit draw from the posterior.
The figure shows draws of the prior and of the posterior, in which the side of the sphere stays in doubt.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.synthetic import projected_normal_sphere

# %%
# Data are 1,000 points of a sphere of radius 1 m, directions of normal vectors about (0.7, 0, 0.7). More of them are
# above the plane z = 0 than below.

data = projected_normal_sphere(np.random.default_rng(0), 1000, means=((0.7, 0.0, 0.7),))
config = im.FitConfig(
    zero_set=im.ManifoldConfig(hidden=(48, 48), restarts=2, warmup_steps=600, num_steps=300),
    likelihood=im.LikelihoodConfig(members=2, num_steps=200, kernel=False),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), data, 1, config).model

# %%
# A model's ``mdf`` and ``energy`` take standardised points; ``model.scaling`` takes these back to the units of the
# data, in which the misfit is. The energy of the posterior is the sum of both.

measured, noise = np.array([0.5, 0.4]), 0.15  # m
misfit = lambda point: jnp.sum(((point[:2] - measured) / noise) ** 2) / 2
energy = jax.tree_util.Partial(lambda model, z: model.energy(z) + misfit(model.scaling.data_point(z)), model)

# %%
# Two parts of M fit, one above and one below. With the model's charts the chains also propose fresh points of M, so
# that they cross from one to the other. The step size is given here; ``num_warmup`` would find one.

M = model.manifold
sampler = im.mcmc.ConstrainedHMC(M.mdf, energy, step_size=0.25, box=M.box, atlas=M.atlas, num_steps=3)
chains = im.mcmc.run(jax.random.key(1), sampler, M.anchors[:100], 550)
chains = chains._replace(positions=chains.positions[50:])
print(found := im.mcmc.summary(chains))
assert found.r_hat.max() < 1.05
posterior = model.scaling.restore(chains.positions.reshape(-1, 3))
assert np.abs(np.linalg.norm(posterior, axis=1) - 1).max() < 0.05

# %%
# The same by other means: independent draws of the prior, weighted by the likelihood. That takes many where few of
# them fit.

prior = im.sample(jax.random.key(2), model, 50_000).points
weights = np.exp(-jax.vmap(misfit)(prior))
weights /= weights.sum()
print(f"weights are worth {1 / np.sum(weights**2):.0f} of {len(prior):,} draws")
above = np.mean(prior[:, 2] > 0), np.mean(posterior[:, 2] > 0), weights @ (prior[:, 2] > 0)
print("z > 0: {:.3f} of the prior; of the posterior {:.3f} by chains, {:.3f} by weights".format(*above))
assert abs(above[1] - above[2]) < 0.05

# %%
# The prior knows which side is likelier, the observation does not.

figure = plt.figure(figsize=(8, 3.9), layout="constrained")
space, marginal = figure.add_subplot(1, 2, 1, projection="3d", proj_type="ortho"), figure.add_subplot(1, 2, 2)
space.scatter(*prior[:1500].T, s=3, color="0.65", linewidths=0, label="prior")
space.scatter(*posterior[::40].T, s=3, color="C0", linewidths=0, label="posterior, chains")
space.plot(*np.tile(measured[:, None], 2), [-1.3, 1.3], color="#d1495b", label="measured")
space.set(xlabel="x (m)", ylabel="y (m)", zlabel="z (m)", xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[-1, 0, 1])
space.set_aspect("equal")
space.view_init(15, 30)
hist = lambda draws, **style: marginal.hist(draws[:, 2], np.linspace(-1.05, 1.05, 43), density=True, **style)
hist(prior, color="0.65", alpha=0.6, label="prior")
hist(posterior, color="C0", alpha=0.5, label="posterior, chains")
hist(prior, weights=weights, histtype="step", color="black", label="posterior, weights")
marginal.set(xlabel="z (m)", ylabel="density per m")
marginal.legend(loc="upper left", frameon=False)
figure.legend(*space.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, markerscale=3)
plt.show()
