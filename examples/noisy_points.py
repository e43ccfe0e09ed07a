"""
Noisy points along two curves
=============================

1,000 points on two half moons, each with noise of standard deviation 0.03. What is learned is a pair of open curves,
though nothing says how many parts there are or that they have ends. The figure shows the points, the learned curves and
where these end: near the ends of the moons, and a few widths of the noise beyond some of them.
"""

from dataclasses import replace

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial import KDTree

import implicit_manifolds as im

# %%
# The points. A zero set would have to close each curve, so a ridge is asked for. How noisy the points are is found by
# taking more and more noise away until a curve is left; smaller batches than the default make that quick.

NOISE = 0.03
random = np.random.default_rng(0)
t = np.linspace(0, np.pi, 2000)
truth = np.block([[np.cos(t), 1 - np.cos(t)], [np.sin(t), 0.5 - np.sin(t)]]).T
points = truth[random.choice(len(truth), 1000)] + NOISE * random.normal(size=(1000, 2))

usual = im.FitConfig(manifold="ridge")
ridge = replace(usual.ridge, denoising=replace(usual.ridge.denoising, batch_size=256))
likelihood = im.LikelihoodConfig(members=2, num_steps=200, pool_size=1000, kernel=False)
fit = im.fit(jax.random.key(0), points, None, replace(usual, ridge=ridge, likelihood=likelihood))
model = fit.model
print(fit.dimension)

# %%
# The certificate: two parts, each open, with two ends.

certificate = im.topology(model.manifold)
print(im.describe(certificate))
assert [(part.closed, part.boundaries) for part in certificate.components] == [(False, 2), (False, 2)]

# %%
# Points are as far from the learned manifold M as their noise puts them, 0.024 on average. Samples of the model lie on
# M, and are much nearer to the true curves: the noise across the curves was taken away.

to_manifold = im.nearest_points(model, points).distance
samples = im.sample(jax.random.key(1), model, 3000).points
to_truth = KDTree(truth).query(samples)[0]
print(f"points to M: {to_manifold.mean():.4f} on average; noise alone has {NOISE * np.sqrt(2 / np.pi):.4f}")
print(f"samples of M to the truth: {to_truth.mean():.4f} on average, {to_truth.max():.3f} at most")
assert abs(to_manifold.mean() / (NOISE * np.sqrt(2 / np.pi)) - 1) < 0.2
assert to_truth.mean() < 0.5 * NOISE

# %%
# An end of a curve is where all near points of it lie on one side. The four most one-sided places are marked.

around = samples[KDTree(samples).query(samples, k=40)[1]].mean(axis=1)
one_sided = np.linalg.norm(around - samples, axis=1)
ends = []
for _ in range(4):
    ends.append(samples[np.argmax(one_sided)])
    one_sided[np.linalg.norm(samples - ends[-1], axis=1) < 0.3] = 0
away = KDTree(truth[[0, 1999, 2000, 3999]]).query(ends)[0]
print(f"learned ends to the true ones: {np.round(np.sort(away), 2)}")
assert away.max() < 0.3

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.plot(*points.T, ".", color="#d1495b", alpha=0.5, markersize=5, markeredgewidth=0, label="points")
axes.plot(*samples.T, ".", color="#21918c", markersize=3, label="learned curves")
axes.plot(*np.insert(truth, 2000, np.nan, axis=0).T, color="black", linewidth=0.8, label="truth")
axes.plot(*np.transpose(ends), "s", color="#440154", markersize=6, fillstyle="none", label="learned ends")
axes.set(xlabel="$x_0$", ylabel="$x_1$", aspect="equal")
axes.legend(loc="upper right", frameon=False)
plt.show()
