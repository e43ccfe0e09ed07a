"""
Sugar pucker and glycosidic angle of RNA
========================================

Two angles of a nucleotide: δ, which tells how the ring of its sugar is bent (the pucker), and χ, by which its base is
turned about the bond to the sugar. χ can go all the way round. δ cannot, because it belongs to a ring. So the two
angles are places on a cylinder, which is learned from 3,000 nucleotides, with the density on it.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.nucleotides import load_rna
from implicit_manifolds.plot import plot_surface

# %%
# δ and χ are the fourth and the last of seven columns, in radians. Two of 9,478 nucleotides have a δ that no sugar has;
# they are left out. Only χ is named as an angle: it becomes its cosine and sine, and δ stays a number.

angles = load_rna()[0][:, [3, 6]]
table = np.random.default_rng(0).permutation(angles[angles[:, 0] > np.radians(45)])[:3000]
cylinder = im.coordinates_of(["delta", "chi"], table, angles="rad", angle_columns=["chi"])

# %%
# One constraint in space of three dimensions. The surface goes on a little beyond the data, to the box of the model,
# where it is open. What is far from all data is the network's guess; the density there is next to none.

config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=300),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), cylinder.embed(table), 1, config).model
figure_cylinder = plot_surface(model, title="$x_0$: δ in radians; $x_1$, $x_2$: cos χ, sin χ")

# %%
# Samples go back to angles. A δ beyond 115° belongs to the pucker called C2'-endo; as many samples as data have it.

drawn = im.sample(jax.random.key(1), model, 3000)
off = np.abs(np.linalg.norm(drawn.points[:, 1:], axis=1) - 1)
samples = cylinder.restore(drawn.points)
endo, endo_of_samples = (np.mean(rows[:, 0] > np.radians(115)) for rows in (table, samples))
print(f"distance of samples from the cylinder of radius 1: {off.mean():.4f} on average, {off.max():.3f} at most")
print(f"C2'-endo: {endo:.3f} of the data, {endo_of_samples:.3f} of the samples")
assert off.mean() < 0.005
assert abs(endo - endo_of_samples) < 0.03

# %%
# The density by the measure of both angles, per square radian; its integral is one.

delta, chi = np.meshgrid(np.arange(46.0, 180.0, 2.0), np.arange(-178.0, 180.0, 4.0))
grid = np.radians(np.column_stack([delta.ravel(), chi.ravel()]))
log_density = im.log_density_by_coordinates(model, cylinder, grid)
total = np.exp(log_density).sum() * np.radians(2.0) * np.radians(4.0)
print(f"integral over the angles: {total:.3f}")
assert abs(total - 1) < 0.1

figure, panels = plt.subplots(1, 3, figsize=(8, 5.2), sharex=True, sharey=True, layout="constrained")
image = panels[0].imshow(log_density.reshape(delta.shape), origin="lower", extent=(45, 179, -180, 180), vmin=-7)
panels[1].plot(*np.degrees(table).T, ".", color="#d1495b", markersize=3, markeredgewidth=0)
panels[2].plot(*np.degrees(samples).T, ".", color="#3b528b", markersize=3, markeredgewidth=0)
for axes, title in zip(panels, ("log-density", "data", "samples"), strict=True):
    axes.set(title=title, xlabel="δ (degrees)", xlim=(45, 179), ylim=(-180, 180), aspect="equal")
panels[0].set(ylabel="χ (degrees)", xticks=[60, 90, 120, 150], yticks=np.arange(-180, 181, 60))
figure.colorbar(image, ax=panels, label="log-density (nats / square radian)", shrink=0.8, extend="min")
plt.show()
