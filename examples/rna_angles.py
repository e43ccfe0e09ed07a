"""
Sugar pucker and glycosidic angle of RNA
========================================

Two angles of a nucleotide: δ, which tells how the ring of its sugar is bent (the pucker), and χ, by which its base is
turned about the bond to the sugar. χ can go all the way round. δ cannot, because it belongs to a ring. What the two
angles can be is therefore a cylinder, which is learned from 3,000 nucleotides, with the density on it.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.nucleotides import load_rna
from implicit_manifolds.plot import plot_surface

# %%
# δ and χ are the fourth and the last of seven columns. Two of 9,478 nucleotides have a δ that no sugar has; they are
# left out. δ stays a number, in radians so that both columns spread alike; χ becomes its cosine and sine.

angles = load_rna()[0][:, [3, 6]]
angles = np.random.default_rng(0).permutation(angles[angles[:, 0] > np.radians(45)])[:3000]
table = np.column_stack([angles[:, 0], np.degrees(angles[:, 1])])
cylinder = im.coordinates_of(["delta", "chi"], table, angles="deg", angle_columns=["chi"])

# %%
# One constraint in space of three dimensions. The certificate says that the surface is open: it ends at the box of the
# model, a little beyond the data. It also tells that there are places without data on it, which are those that
# nucleotides avoid.

config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=300),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), cylinder.embed(table), 1, config).model
print(im.describe(im.topology(model.manifold)))
drawn = im.sample(jax.random.key(1), model, 3000)
radius = np.linalg.norm(drawn.points[:, 1:], axis=1)
print(f"radius of samples about the axis of the cylinder: {radius.mean():.4f}, {np.abs(radius - 1).max():.3f} off at most")
assert np.abs(radius - 1).mean() < 0.01

figure_cylinder = plot_surface(model, title="Density on the learned cylinder")

# %%
# Back to degrees. A δ beyond 115° is what the pucker C2'-endo has, and as many samples as data have it.

samples = cylinder.restore(drawn.points)
shares = [np.mean(rows[:, 0] > np.radians(115)) for rows in (table, samples)]
print(f"C2'-endo: {shares[0]:.3f} of the data, {shares[1]:.3f} of the samples")
assert abs(shares[0] - shares[1]) < 0.03

# %%
# The density by the measure of both angles, and the samples.

delta, chi = np.meshgrid(np.arange(46.0, 180.0, 2.0), np.arange(-178.0, 180.0, 4.0))
grid = np.column_stack([np.radians(delta.ravel()), chi.ravel()])
log_density = im.log_density_by_coordinates(model, cylinder, grid)
total = np.exp(log_density).sum() * np.radians(2.0) * np.radians(4.0)
print(f"integral over the angles: {total:.3f}")
assert abs(total - 1) < 0.1

figure, panels = plt.subplots(1, 2, figsize=(7, 5.6), sharex=True, sharey=True, layout="constrained")
image = panels[0].imshow(log_density.reshape(delta.shape), origin="lower", extent=(45, 179, -180, 180), vmin=-7)
panels[1].plot(np.degrees(table[:, 0]), table[:, 1], ".", color="#d1495b", markersize=2, label="data")
panels[1].plot(np.degrees(samples[:, 0]), samples[:, 1], ".", color="#3b528b", markersize=2, label="samples")
panels[0].set(title="log-density", ylabel="χ (degrees)", yticks=np.arange(-180, 181, 60), xticks=[60, 90, 120, 150])
panels[1].set(title="samples and data", aspect="equal")
for axes in panels:
    axes.set(xlabel="δ (degrees)", xlim=(45, 179), ylim=(-180, 180))
panels[1].legend(loc="center", bbox_to_anchor=(0.5, 0.55))
figure.colorbar(image, ax=panels, label="log-density (nats per square radian)", shrink=0.8, extend="min")
plt.show()
