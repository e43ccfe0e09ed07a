"""
Floods on the globe
===================

Places of floods, from the archive of the Dartmouth Flood Observatory, as longitudes and latitudes in degrees. The table
is turned into points of space, the surface that they lie on is learned without being told that it is a sphere, and with
it a density, which is drawn on a map.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

import implicit_manifolds as im
from implicit_manifolds.datasets.earth import load_earth

# %%
# The table. Places that are told more than once are kept once, and a fifth of all places is held out.

vectors = np.unique(load_earth("flood"), axis=0)
longitude, latitude = np.degrees([np.arctan2(vectors[:, 1], vectors[:, 0]), np.arcsin(vectors[:, 2])])
places = np.random.default_rng(0).permutation(np.column_stack([longitude, latitude]))
held_out, places = np.split(places, [len(places) // 5])

# %%
# Longitudes jump at the date line and mean nothing at the poles, so no density is learned in degrees: each place
# becomes a unit vector. A zero set closes over the oceans, where there are no floods.

globe = im.coordinates_of(["longitude", "latitude"], places, lonlat=["longitude", "latitude"])
config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=400),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), globe.embed(places), 1, config).model

# %%
# The learned surface M is a sphere of radius one: samples of the model lie on it.

drawn = im.sample(jax.random.key(1), model, 2000)
radius = np.linalg.norm(drawn.points, axis=1)
print(f"radius of samples: {radius.mean():.4f} on average, {np.abs(radius - 1).max():.4f} from 1 at most")
assert drawn.on_manifold.all()
assert np.abs(radius - 1).max() < 0.02

# %%
# The density is asked for by the measure of the globe, per steradian, at places that were held out and at a grid.
# Its integral over the globe is one.

log_density = im.log_density_by_coordinates(model, globe, held_out)
print(f"held-out floods: {log_density.mean():.2f} nats per steradian; uniform places have {-np.log(4 * np.pi):.2f}")
assert log_density.mean() > 1 - np.log(4 * np.pi)

east, north = np.meshgrid(np.arange(-179.0, 180.0, 2.0), np.arange(-89.0, 90.0, 2.0))
grid = np.column_stack([east.ravel(), north.ravel()])
density = np.exp(im.log_density_by_coordinates(model, globe, grid)).reshape(east.shape)
total = np.sum(density * np.cos(np.radians(north))) * np.radians(2.0) ** 2
print(f"integral over the globe: {total:.3f}")
assert abs(total - 1) < 0.1

# %%
# The map, over four decades of density.

figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
norm = LogNorm(density.max() / 1e4, density.max(), clip=True)
image = axes.imshow(density, norm=norm, origin="lower", extent=(-180, 180, -90, 90), interpolation="bilinear")
axes.plot(*places.T, ".", markersize=2.4, markeredgewidth=0, color="#d1495b")
axes.set(xlabel="longitude (degrees)", ylabel="latitude (degrees)", title="Density of floods, and the floods as dots")
axes.set(xticks=np.arange(-180, 181, 60), yticks=np.arange(-90, 91, 30), aspect="equal")
figure.colorbar(image, label="density (1 / steradian)", extend="min")
plt.show()
