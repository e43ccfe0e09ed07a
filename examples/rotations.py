"""An orientation from noisy directions
====================================

A satellite sees three stars whose directions are known. What is its orientation, and how sure is it? Rotations are
zeros of six equations in nine numbers, and the posterior is the matrix Fisher law on them. Chains that stay on the
rotations draw from it, and integrals in one variable say whether its mean is right. The figure shows draws of the
three axes.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.manifold.analytic import stiefel

# %%
# The orientation R takes a direction in the satellite's frame to the same one in the sky's. The stars are 39 to 52
# degrees apart and are seen with errors of 0.1 radians, or 6 degrees, so a turn about the line of sight is known less
# well than the line itself.

rng = np.random.default_rng(0)
truth = np.linalg.qr(rng.normal(size=(3, 3)))[0]
truth *= np.linalg.det(truth)  # a rotation: of determinant 1
unit = lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)
stars = unit(np.array([[0.0, 0.0, 1.0], [0.8, 0.0, 1.0], [0.0, 0.8, 1.0]]))  # in the satellite's frame
sky, seen = stars @ truth.T, unit(stars + rng.normal(scale=0.1, size=(3, 3)))

# %%
# Errors by the law of von Mises and Fisher, of concentration 1/0.1², and a uniform prior give the posterior density
# exp(tr BᵀR), up to a constant, by the volume of the rotations among the 3 x 3 matrices.

information = sky.T @ seen / 0.1**2  # B
energy = jax.tree_util.Partial(lambda x: -jnp.sum(information * x.reshape(3, 3)))
sampler = im.mcmc.ConstrainedHMC(stiefel(3), energy, max_steps=4.0)  # lengths of trajectories are tuned
starts = np.tile(np.eye(3).ravel(), (100, 1))
chains = im.mcmc.run(jax.random.key(0), sampler, starts, num_samples=400, num_warmup=300)
found = im.mcmc.summary(chains)
print(found)
assert found.r_hat.max() < 1.02
assert found.largest_residual < 2e-5
draws = chains.positions.reshape(-1, 3, 3)

# %%
# Let B = U S Vᵀ with rotations U and V and a diagonal S, whose last entry may be negative. The mean of R is U D Vᵀ
# with a diagonal D, each entry of which is a ratio of integrals (Lee 2018).

u, s, v = np.linalg.svd(information)
signs = np.linalg.det(u), np.linalg.det(v)
u[:, 2], v[2], s[2] = signs[0] * u[:, 2], signs[1] * v[2], signs[0] * signs[1] * s[2]
t, nodes = np.polynomial.legendre.leggauss(200)
d = np.zeros(3)
for k, (i, j) in enumerate([(1, 2), (2, 0), (0, 1)]):
    weights = (
        nodes * np.i0((s[i] - s[j]) * (1 - t) / 2) * np.i0((s[i] + s[j]) * (1 + t) / 2) * np.exp(s[k] * t - s.sum())
    )
    d[k] = weights @ t / weights.sum()
difference = np.abs(draws.mean(axis=0) - (u * d) @ v).max()
print(f"largest difference between entries of the mean of R, drawn and exact: {difference:.4f}")
assert difference < 0.006  # five standard errors

# %%
# Axes of the satellite in the sky: the columns of R.

figure = plt.figure(figsize=(6, 5.8), layout="constrained")
axes = figure.add_subplot(projection="3d", proj_type="ortho", computed_zorder=False)
around, up = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(-np.pi / 2, np.pi / 2, 13))
axes.plot_wireframe(np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up), color="0.85", linewidth=0.5)
for k, color in enumerate(plt.get_cmap("viridis")([0.0, 0.45, 0.85])):
    axes.scatter(*draws[::40, :, k].T, s=5, color=color, linewidths=0, label=f"draws of axis {k + 1}")
axes.scatter(*(seen @ truth.T).T, s=30, color="#d1495b", label="stars as seen, turned\nby the true orientation")
for k in range(3):
    axes.plot(*np.stack([np.zeros(3), truth[:, k]]).T, color="black", label=None if k else "true axes")
axes.set(xlabel="x", ylabel="y", zlabel="z", xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[-1, 0, 1])
axes.set_box_aspect((1, 1, 1), zoom=1.1)
axes.view_init(25, 45)
figure.legend(loc="outside lower center", ncols=2, frameon=False, markerscale=1.5)
plt.show()
