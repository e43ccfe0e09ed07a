import sys

import jax
import numpy as np
import pytest

from experiments.images.lenet import LeNetOptions, load_lenet
from implicit_manifolds.datasets.download import VARIABLE
from implicit_manifolds.datasets.images import SHAPES, load_images
from implicit_manifolds.errors import DataUnavailable


@pytest.mark.parametrize(
    ("name", "split", "first", "counts", "mean"),
    [
        pytest.param(
            "mnist",
            "train",
            4,
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            0.1307,
            marks=pytest.mark.slow,
        ),
        ("mnist", "test", 2, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009], 0.1325),
        ("fashion_mnist", "test", 4, [1000] * 10, 0.2868),
        ("cifar10_jpeg", "test", 9, [200] * 10, 0.4800),
    ],
)
def test_images_are_read_with_their_labels(real_data, name, split, first, counts, mean):
    images, labels = load_images(name, split)
    assert images.shape == (sum(counts), np.prod(SHAPES[name]))
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    assert images.mean() == pytest.approx(mean, abs=1e-4)
    assert labels[0] == first
    np.testing.assert_array_equal(np.bincount(labels), counts)


def test_without_the_loader_or_the_images_a_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(DataUnavailable, match="pip install 'implicit-manifolds"):
        load_images("mnist")


@pytest.mark.parametrize(("name", "least"), [("mnist", 0.98), ("fashion_mnist", 0.85)])
def test_the_classifiers_that_judge_images_know_those_of_the_test(real_data, name, least):
    images, labels = load_images(name, "test", 2000)
    found = jax.jit(jax.vmap(load_lenet(name)))(images).argmax(axis=1)
    # Of 2,000 the standard error is .003 for digits, .008 for garments.
    assert (found == labels).mean() > least - 0.02


def test_the_command_that_trains_the_classifiers_takes_its_own_defaults():
    assert LeNetOptions().seed == 0
