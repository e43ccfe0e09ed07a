"""FID needs weights that nobody may ship; what can be checked without them."""

import numpy as np
import pytest

from experiments.images import fid
from experiments.images import run as images
from implicit_manifolds import InputError


def test_images_become_bytes_of_three_equal_colours():
    drawn = np.tile(np.array([[-0.3, 0.0, 0.5, 1.0, 1.7, 0.2, 0.4]]), (2, 112))
    found = fid.as_rgb(drawn)
    assert found.shape == (2, 3, 28, 28)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0, 0], found[1, 2])
    np.testing.assert_array_equal(found[0, 1].ravel()[:7], [0, 0, 128, 255, 255, 51, 102])


def test_weights_that_are_missing_are_told_before_anything_is_trained(tmp_path):
    options = images.ImageOptions(scale="smoke", out=tmp_path, fid_weights=tmp_path / "inception.pth")
    with pytest.raises(InputError, match=r"inception\.pth does not exist"):
        images.run_images(options)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    weights = tmp_path / "inception.pth"
    weights.touch()
    monkeypatch.setattr(fid.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"implicit-manifolds\[fid\]"):
        fid.check_weights(weights)
