import builtins
import hashlib
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from implicit_manifolds.datasets import download
from implicit_manifolds.datasets.download import VARIABLE
from implicit_manifolds.datasets.proteins import load_dihedral, load_ramachandran, torus_embedding
from implicit_manifolds.errors import DataUnavailable, InputError

pytestmark = pytest.mark.usefixtures("no_network")
PICKLE = "dihedral/9mers_data.pkl"
ARRAYS = {"A": np.float32([[0.5, -1.0]]), "G": np.float32([[1.25, 2.5], [-3.0, 0.25], [0.0, 3.0]])}


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def publish(monkeypatch, tmp_path):
    """Makes some bytes the published pickle, checksum included, so that only the unpickler judges them."""

    def put(content):
        (tmp_path / "dihedral").mkdir(exist_ok=True)
        (tmp_path / PICKLE).write_bytes(content)
        monkeypatch.setenv(VARIABLE, str(tmp_path))
        entry = replace(download.REGISTRY[PICKLE], sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(download.REGISTRY, PICKLE, entry)

    return put


def with_old_module_names(content):
    """As NumPy 1 wrote it; names end with a line break in protocols 0 to 3, so lengths need no care."""
    assert b"numpy._core" in content
    return content.replace(b"numpy._core", b"numpy.core")


def test_glycine_of_the_real_data_is_the_default(real_data):
    angles = load_dihedral()
    assert angles.shape == (1000, 2)
    assert angles.dtype == np.float64
    assert len(np.unique(angles, axis=0)) == 940
    assert np.abs(angles).max() < 3.15
    # φ and ψ are told apart by alanine, whose φ is negative nearly always.
    assert (load_dihedral("A") < 0).mean(axis=0) == pytest.approx([0.95, 0.6], abs=0.1)


def test_the_converted_file_is_preferred_to_the_pickle(real_data, monkeypatch):
    monkeypatch.setitem(download.REGISTRY, PICKLE, replace(download.REGISTRY[PICKLE], url=None))
    assert load_dihedral("W").shape == (1000, 2)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_arrays_are_read_from_every_pickle_protocol(publish, protocol):
    publish(pickle.dumps(ARRAYS, protocol))
    for amino_acid, expected in ARRAYS.items():
        np.testing.assert_array_equal(load_dihedral(amino_acid), expected)


@pytest.mark.parametrize("protocol", range(4))
def test_plain_arrays_are_read_under_the_module_names_of_numpy_1(publish, protocol):
    publish(with_old_module_names(pickle.dumps(ARRAYS, protocol)))
    np.testing.assert_array_equal(load_dihedral("G"), ARRAYS["G"])


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_a_command_is_refused_before_it_runs(publish, tmp_path, protocol):
    hostile = pickle.dumps({"G": Call(os.system, f"touch {tmp_path / 'ran'}")}, protocol)
    pickle.loads(hostile)
    assert (tmp_path / "ran").exists(), "the attack itself does not work, so refusing it proves nothing"
    (tmp_path / "ran").unlink()
    publish(hostile)
    with pytest.raises(DataUnavailable, match=r"more than arrays \((posix|nt)\.system\)") as error:
        load_dihedral()
    assert not (tmp_path / "ran").exists()
    assert ". " not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"G": Call(builtins.eval, "1")}),
        pickle.dumps({"G": Call(np.load, "anything.npy")}),
        pickle.dumps({"G": np.float32(1)}),
        pickle.dumps({"G": Call(np.zeros(1).tofile, "anything")}),
        b"cnumpy\nndarray.tofile\n.",
        b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x05\x00\x00\x00punyctR.",
        pickle.dumps(ARRAYS)[:-20],
        b"",
    ],
    ids=["eval", "numpy.load", "scalar", "bound method", "dotted name", "codec", "cut off", "empty"],
)
def test_anything_but_arrays_is_refused_in_one_sentence(publish, content):
    publish(content)
    with pytest.raises(DataUnavailable, match="holds more than arrays") as error:
        load_dihedral()
    assert "\n" not in str(error.value)


def test_a_pickle_without_amino_acids_is_refused(publish):
    publish(pickle.dumps([1, 2]))
    with pytest.raises(DataUnavailable, match="no table of arrays"):
        load_dihedral()


def test_without_file_or_network_one_sentence_names_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(DataUnavailable, match=f"{PICKLE} could not be downloaded"):
        load_dihedral()


def test_an_unknown_amino_acid_is_refused_with_the_ones_there_are(publish):
    publish(pickle.dumps(ARRAYS))
    with pytest.raises(InputError, match="no amino acid B; give one of A, G"):
        load_dihedral("B")


def test_the_first_angle_runs_around_the_ring_and_the_second_around_the_tube():
    angles = np.pi * np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5], [0.0, 1.0], [1.0, 1.0]])
    expected = [[4, 0, 0], [0, 4, 0], [3, 0, 1], [2, 0, 0], [-2, 0, 0]]
    np.testing.assert_allclose(torus_embedding(angles), expected, atol=1e-15)


def test_embedded_angles_lie_on_the_torus_of_the_given_radii():
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, (100, 2))
    x, y, z = torus_embedding(angles, radius=2.0, tube=0.5).T
    np.testing.assert_allclose((np.hypot(x, y) - 2) ** 2 + z**2, 0.25, rtol=1e-12)
    np.testing.assert_allclose(np.arctan2(y, x), angles[:, 0], rtol=1e-12)


@pytest.mark.parametrize(
    ("residues", "count"), [("general", 69890), ("glycine", 6742), ("proline", 3881), ("pre_pro", 3500)]
)
def test_kinds_of_residues_are_counted_as_in_the_literature(real_data, residues, count):
    angles = load_ramachandran(residues)
    assert angles.shape == (count, 2)
    assert np.abs(angles).max() <= 3.15
    assert np.unique(np.round(angles, 2), axis=0).shape == np.unique(angles, axis=0).shape
