"""
Floods on the globe
===================

Where floods were reported between 1985 and 2019, as longitudes and latitudes in degrees. A table of places is turned
into points of space, the surface that they lie on is learned without being told that it is a sphere, and with it a
density, which is drawn on a map.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

import implicit_manifolds as im
from implicit_manifolds.datasets.earth import load_earth

# %%
# The table. Repeated reports of one place are dropped, and a fifth of the places is held out.

vectors = np.unique(load_earth("flood"), axis=0)
longitude, latitude = np.degrees([np.arctan2(vectors[:, 1], vectors[:, 0]), np.arcsin(vectors[:, 2])])
places = np.random.default_rng(0).permutation(np.column_stack([longitude, latitude]))
held_out, places = np.split(places, [len(places) // 5])

# %%
# Longitudes jump at the date line and mean little at the poles, so no density is learned in degrees: each place becomes
# a unit vector. A zero set closes over the oceans, where there are no floods.

globe = im.coordinates_of(["longitude", "latitude"], places, lonlat=["longitude", "latitude"])
points = globe.embed(places)
config = im.FitConfig(
    im.ManifoldConfig(restarts=2, warmup_steps=1000),
    likelihood=im.LikelihoodConfig(num_steps=400),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), points, 1, config).model

# %%
# What was learned is the sphere, and the density is of total one. Densities by area of the learned surface and by
# steradians of the true globe differ a little, as the two surfaces do.

drawn = im.sample(jax.random.key(1), model, 2000)
radius = np.linalg.norm(drawn.points, axis=1)
print(im.describe(im.topology(model.manifold)))
print(f"radius of samples: {radius.mean():.4f}, at most {np.abs(radius - 1).max():.1e} from 1")
assert np.abs(radius - 1).max() < 0.02

log_density = im.log_density_by_coordinates(model, globe, held_out)
uniform = -np.log(4 * np.pi)
print(f"held-out floods: {log_density.mean():.2f} nats per steradian; the uniform law has {uniform:.2f}")
assert log_density.mean() > uniform + 1

# %%
# The density on a map, for which it is taken at a grid of places. Integrated over the globe it is one.

east, north = np.meshgrid(np.arange(-178.5, 180, 3.0), np.arange(-88.5, 90, 3.0))
grid = np.column_stack([east.ravel(), north.ravel()])
density = np.exp(im.log_density_by_coordinates(model, globe, grid)).reshape(east.shape)
total = np.sum(density * np.cos(np.radians(north))) * np.radians(3.0) ** 2
print(f"integral over the globe: {total:.3f}")
assert abs(total - 1) < 0.05

figure, axes = plt.subplots(figsize=(8, 4.4), layout="constrained")
norm = LogNorm(density.max() / 1e4, density.max(), clip=True)
image = axes.imshow(density, norm=norm, origin="lower", extent=(-180, 180, -90, 90), interpolation="bilinear")
axes.plot(*places.T, ".", markersize=1.5, color="#d1495b", label="floods")
axes.set(xlabel="longitude (degrees)", ylabel="latitude (degrees)", aspect="equal")
axes.set(xticks=np.arange(-180, 181, 60), yticks=np.arange(-90, 91, 30))
figure.colorbar(image, label="density (1 / sr)", shrink=0.75)
plt.show()
