"""Two phases from a few readings
==============================

A voltage is the sum of two tones of known frequencies and of amplitude 1 V; four noisy readings are to tell their
phases. Pairs of angles make up a torus, and the posterior is an energy on it, written down. The figure shows draws of
chains on the torus, with quadrature in the two angles beside them.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.manifold.analytic import clifford_torus

# %%
# The coordinates are cos φ, sin φ, cos ψ and sin ψ. The torus is flat in these: a uniform prior of both angles is
# uniform by area. Readings are linear, since cos(2πft + φ) = cos 2πft cos φ - sin 2πft sin φ.

times, noise = np.array([0.0, 0.05, 0.1, 0.15]), 0.4  # s, V
turns = 2 * np.pi * np.outer(times, [1.0, 1.6])  # frequencies in Hz
design = np.stack([np.cos(turns), -np.sin(turns)], axis=2).reshape(4, 4)
readings = np.array([1.1, 0.5, 0.7, -0.4])  # V


def energy(x):
    """Minus the log-likelihood of cosines and sines, (4,) to ()."""
    return jnp.sum((readings - design @ x) ** 2) / (2 * noise**2)


# %%
# All chains start at one point of the torus. Warm-up finds the step size and lets them forget where they began.

sampler = im.mcmc.ConstrainedHMC(clifford_torus(), jax.tree_util.Partial(energy), num_steps=10)
starts = np.tile([1.0, 0.0, 1.0, 0.0], (100, 1))
chains = im.mcmc.run(jax.random.key(0), sampler, starts, num_samples=1000, num_warmup=300)
found = im.mcmc.summary(chains)
print(found)
assert found.r_hat.max() < 1.05
assert found.largest_residual < 1e-5
x = chains.positions.reshape(-1, 4)
drawn = np.arctan2(x[:, 1::2], x[:, ::2])  # φ and ψ

# %%
# In two angles a grid will do as well: sums over it are exact to many digits.

width = 2 * np.pi / 400
grid = np.arange(-np.pi + width / 2, np.pi, width)
angles = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1)
at_grid = np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(400, 400, 4)
density = np.exp(-np.asarray(jax.vmap(jax.vmap(energy))(at_grid)))
density /= density.sum() * width**2
exact = np.tensordot(density, at_grid, axes=2) * width**2
error = np.sqrt(x.var(axis=0) / found.ess_bulk)
for name, drawn_mean, true_mean, one in zip(
    ("cos φ", "sin φ", "cos ψ", "sin ψ"), x.mean(axis=0), exact, error, strict=True
):
    print(f"mean of {name}: {drawn_mean:.3f} by chains, {true_mean:.3f} by quadrature, standard error {one:.3f}")
assert np.abs(x.mean(axis=0) - exact).max() < 5 * error.max()

# %%
# The readings leave a bent ridge with two peaks, which no normal law would fit.

figure, (plane, marginals) = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
image = plane.pcolormesh(grid, grid, density.T, cmap="viridis", rasterized=True)
plane.scatter(*drawn[::200].T, s=5, color="#d1495b", linewidths=0, label="draws")
plane.set(aspect="equal", xlabel="φ (radians)", ylabel="ψ (radians)")
plane.legend(loc="lower left", labelcolor="white", frameon=False, markerscale=2)
figure.colorbar(image, label="posterior density\nper square radian", shrink=0.9)
for index, (name, color) in enumerate({"φ": "C0", "ψ": "C1"}.items()):
    marginals.hist(drawn[:, index], bins=np.linspace(-np.pi, np.pi, 61), density=True, color=color, alpha=0.4)
    marginals.plot(grid, density.sum(axis=1 - index) * width, color=color, label=name)
marginals.set(xlabel="angle (radians)", ylabel="posterior density per radian", xlim=(-np.pi, np.pi))
marginals.legend(title="bars: chains\nlines: quadrature", frameon=False)
plt.show()
