"""Where results and pages are, and what experiments are called in tables."""

from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
README = Path(__file__).parents[2] / "README.md"
DOCS = README.parent / "docs"
TITLES = {
    "von_mises": "Circle, von Mises",
    "von_mises_mixture": "Two circles, von Mises",
    "projected_normals": "Sphere, projected normals",
    "torus": "Torus, sine law",
    "gaussian_circle": "Circle, normal angle and radius",
    "lorenz": "Lorenz attractor",
    "floods": "Floods, sphere",
    "fires": "Fires, sphere",
    "earthquakes": "Earthquakes, sphere",
    "volcanoes": "Eruptions, sphere",
    "amino_acids": "Glycine, torus",
}
