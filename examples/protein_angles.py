"""
Dihedral angles of glycine
==========================

The shape of a protein's backbone is told by two angles for each amino acid, φ and ψ. They are learned here from 1,000
residues of glycine, the amino acid with the fewest places that its neighbours forbid, and drawn as biochemists do: a
Ramachandran plot, of the learned density beside new samples.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.proteins import load_dihedral

# %%
# The table, in degrees. Its angles were rounded to 0.01 radians, so some rows repeat; noise of that width undoes it.

random = np.random.default_rng(0)
angles = load_dihedral("G") + random.uniform(-0.005, 0.005, (1000, 2))
degrees = (np.degrees(random.permutation(angles)) + 180) % 360 - 180
train, held_out = degrees[:800], degrees[800:]

# %%
# 180° and -180° are one angle. Each angle therefore becomes its cosine and sine, and the table 800 points of space of
# four dimensions, on a product of two circles: a flat torus, which two constraints cut out. They are learned.

names = ["phi", "psi"]
torus = im.coordinates_of(names, train, angles="deg")
points = torus.embed(train)
config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=300),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), points, 2, config).model
drawn = im.sample(jax.random.key(1), model, 1000)
radii = np.linalg.norm(drawn.points.reshape(-1, 2, 2), axis=2)
print(
    f"samples: radii of both circles are 1 up to {np.abs(radii - 1).max():.3f}, on average {np.abs(radii - 1).mean():.4f}"
)
assert np.abs(radii - 1).mean() < 0.01

# %%
# `Coordinates.restore` takes samples back to degrees, and `log_density_by_coordinates` gives the density by the measure
# of the angles, here per square radian, whose integral over the square is one.

samples = torus.restore(drawn.points)
centres = np.arange(-177.5, 180, 5.0)
phi, psi = np.meshgrid(centres, centres)
log_density = im.log_density_by_coordinates(model, torus, np.column_stack([phi.ravel(), psi.ravel()]))
total = np.exp(log_density).sum() * np.radians(5.0) ** 2
log_held_out = im.log_density_by_coordinates(model, torus, held_out)
print(f"integral over the square: {total:.3f}")
print(
    f"held-out residues: {log_held_out.mean():.2f} nats per square radian; uniform angles have {-np.log(4 * np.pi**2):.2f}"
)
assert abs(total - 1) < 0.05
assert log_held_out.mean() > -np.log(4 * np.pi**2) + 0.5

# %%
# The plot. Samples avoid the same angles as the data.

figure, panels = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
image = panels[0].imshow(log_density.reshape(phi.shape), origin="lower", extent=(-180, 180, -180, 180), vmin=-7)
panels[0].plot(*train.T, ".", color="#d1495b", markersize=2)
panels[0].set_title("log-density, and data")
panels[1].plot(*train.T, ".", color="#d1495b", markersize=2, label="data")
panels[1].plot(*samples.T, ".", color="#3b528b", markersize=2, label="samples of the model")
panels[1].set(title="samples, and data", aspect="equal")
panels[0].set(ylabel="ψ (degrees)", xticks=np.arange(-180, 181, 90), yticks=np.arange(-180, 181, 90))
for axes in panels:
    axes.set_xlabel("φ (degrees)")
figure.colorbar(image, ax=panels, label="log-density (nats per square radian)", shrink=0.8, extend="min")
plt.show()
