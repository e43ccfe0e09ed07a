"""Which of many images is nearest to each of others."""

import numpy as np


def nearest(points: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index (N,) of the training image nearest to each point (N, n), and its distance (N,)."""
    sizes = (images**2).sum(axis=1)
    blocks = np.array_split(points, -(-len(points) // 500))
    index = np.concatenate([(sizes - 2 * rows @ images.T).argmin(axis=1) for rows in blocks])
    return index, np.linalg.norm(images[index] - points, axis=1)
