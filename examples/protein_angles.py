"""
Dihedral angles of glycine
==========================

The backbone of a protein can turn about two bonds at each amino acid, by angles called φ and ψ. They are learned here
from 800 residues of glycine, which has no side chain and so more freedom than the others. The figure is a Ramachandran
plot: the learned density with the data, and new samples in degrees.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.proteins import load_dihedral

# %%
# The table, in degrees. Its angles were rounded to 0.01 radians, so some rows repeat; noise of that width undoes it.

random = np.random.default_rng(0)
angles = random.permutation(load_dihedral("G") + random.uniform(-0.005, 0.005, (1000, 2)))
degrees = (np.degrees(angles) + 180) % 360 - 180
held_out, train = np.split(degrees, [200])

# %%
# 180° and -180° are one angle. So each angle becomes its cosine and sine, and the table 800 points in space of four
# dimensions, on a product of two circles: a flat torus, the zero set of two constraints. These are learned.

torus = im.coordinates_of(["phi", "psi"], train, angles="deg")
config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=300),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), torus.embed(train), 2, config).model
drawn = im.sample(jax.random.key(1), model, 1000)
off = np.abs(np.linalg.norm(drawn.points.reshape(-1, 2, 2), axis=2) - 1)
print(f"samples: the radii of both circles are 1 up to {off.max():.3f}, on average up to {off.mean():.4f}")
assert off.mean() < 0.005

# %%
# ``restore`` takes samples back to degrees, and ``log_density_by_coordinates`` gives the density by the measure of the
# angles, per square radian, whose integral over the square is one.

samples = torus.restore(drawn.points)
phi, psi = np.meshgrid(np.arange(-178.0, 180.0, 4.0), np.arange(-178.0, 180.0, 4.0))
log_density = im.log_density_by_coordinates(model, torus, np.column_stack([phi.ravel(), psi.ravel()]))
total = np.exp(log_density).sum() * np.radians(4.0) ** 2
found, uniform = im.log_density_by_coordinates(model, torus, held_out).mean(), -2 * np.log(2 * np.pi)
print(f"integral over the square: {total:.3f}")
print(f"held-out residues: {found:.2f} nats per square radian; uniform angles have {uniform:.2f}")
assert abs(total - 1) < 0.05
assert found > uniform + 1

# %%
# The plot. Angles near 180° and -180° are neighbours, and the density runs on across the edge.

figure, panels = plt.subplots(1, 2, figsize=(8, 4.2), sharex=True, sharey=True, layout="constrained")
image = panels[0].imshow(log_density.reshape(phi.shape), origin="lower", extent=(-180, 180, -180, 180), vmin=-7)
panels[0].plot(*train.T, ".", color="#d1495b", markersize=2.5, markeredgewidth=0)
panels[0].set(title="log-density, and data", ylabel="ψ (degrees)")
panels[1].plot(*train.T, ".", color="#d1495b", markersize=4, markeredgewidth=0, label="data")
panels[1].plot(*samples.T, ".", color="#3b528b", markersize=4, markeredgewidth=0, label="samples of the model")
panels[1].set(title="samples, and data", aspect="equal")
panels[1].legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=2, frameon=False, markerscale=2)
for axes in panels:
    axes.set(xlabel="φ (degrees)", xticks=np.arange(-180, 181, 90), yticks=np.arange(-180, 181, 90))
figure.colorbar(image, ax=panels, label="log-density (nats / square radian)", shrink=0.8, extend="min")
plt.show()
