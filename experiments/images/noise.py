"""Normal laws with the moments of images or of codes, which fresh chains start at."""

import numpy as np
from scipy.cluster.vq import kmeans2

from implicit_manifolds._random import host_generator

COMPONENTS, LEAST = 100, 100
"""Normal laws that fresh chains start at, and the fewest points of one on average; those of training start at one."""


def normal_noise(points, components: int = 1):
    """noise(key, count): normal points (count, n) with the moments of the data (N, n), or of what is nearest each mean.

    Several `components`, fewer where points are few, have the shares of the kinds of data, between which chains of a
    few dozen steps seldom pass.
    """
    points = np.asarray(points, np.float64)
    components = min(components, max(1, len(points) // LEAST))
    labels = kmeans2(points, components, iter=20, minit="++", rng=np.random.default_rng(0))[1]
    groups = [points[labels == label] for label in np.unique(labels)]
    shares = np.array([len(group) for group in groups]) / len(points)
    laws = [(group.mean(axis=0), _root(group)) for group in groups]

    def noise(key, count):
        random = host_generator(key)
        numbers = random.multinomial(count, shares)
        drawn = [
            mean + random.normal(size=(m, len(root))) @ root for m, (mean, root) in zip(numbers, laws, strict=True)
        ]
        return random.permutation(np.concatenate(drawn)).astype(np.float32)

    return noise


def spread(images, latent: int) -> float:
    """Root mean square of images (N, n) in their leading directions, as many as codes have."""
    variances = np.linalg.eigvalsh(np.cov(np.asarray(images, np.float64), rowvar=False))
    return float(np.sqrt(variances[-latent:].mean()))


def _root(points):
    """R (r, n) with RᵀR = the covariance of points (N, n), r the lesser of N and n."""
    if len(points) <= points.shape[1]:
        return (points - points.mean(axis=0)) / len(points) ** 0.5
    values, vectors = np.linalg.eigh(np.cov(points, rowvar=False, bias=True))
    return (vectors * np.sqrt(np.maximum(values, 0))).T
