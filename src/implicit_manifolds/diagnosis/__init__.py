"""Whether a model can be believed: numbers about its manifold, its density and its points, each with a threshold."""
