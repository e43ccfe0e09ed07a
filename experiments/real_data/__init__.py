"""Real data by every form of a manifold, on splits that leak and on splits that do not."""
