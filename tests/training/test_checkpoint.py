"""Pytrees on disk: what is saved comes back, and what does not fit is refused."""

import errno

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from implicit_manifolds import InputError
from implicit_manifolds.cli import run_safely
from implicit_manifolds.networks.mlp import MLP
from implicit_manifolds.training import checkpoint
from implicit_manifolds.training.checkpoint import flatten, load_arrays, restore_latest, save, save_tree, unflatten


def tree(seed):
    return {
        "net": MLP([2, 3, 1], rngs=nnx.Rngs(seed)),
        "key": jax.random.key(seed),
        "wide": np.array([1.0 + 1e-12 * seed]),
        "step": jnp.asarray(seed),
    }


def test_a_saved_tree_comes_back_whole_with_keys_and_double_arrays(tmp_path):
    save_tree(tmp_path / "tree", tree(7))
    restored = unflatten(tree(0), load_arrays(tmp_path / "tree"))
    for name, value in flatten(tree(7)).items():
        np.testing.assert_array_equal(flatten(restored)[name], value, err_msg=name)
    assert restored["wide"].dtype == np.float64
    assert jax.random.uniform(restored["key"]) == jax.random.uniform(jax.random.key(7))


def test_a_tree_of_other_shapes_or_names_is_refused():
    arrays = flatten(tree(1))
    with pytest.raises(ValueError, match="shape"):
        unflatten(tree(1) | {"wide": np.zeros(2)}, arrays)
    with pytest.raises(ValueError, match="expected the arrays"):
        unflatten(tree(1) | {"other": np.zeros(2)}, arrays)


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(tmp_path):
    for done in (3, 4):
        save(tmp_path / "run", done, tree(done), [{"loss": np.arange(done)}])
    assert restore_latest(tmp_path / "run", tree(0))[0] == 4
    damaged = next(path for path in (tmp_path / "run" / "4" / "default").rglob("d/*") if path.is_file())
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(bytes(content))
    with pytest.warns(UserWarning, match="is damaged"):
        done, state, rows = restore_latest(tmp_path / "run", tree(0))
    assert (done, int(state["step"]), len(rows[0]["loss"])) == (3, 3, 3)
    save(tmp_path / "run", 4, tree(5), [{"loss": np.arange(4)}])  # its place is free again
    assert int(restore_latest(tmp_path / "run", tree(0))[1]["step"]) == 5
    for path in (tmp_path / "run").glob("[34]/SHA256SUMS"):
        path.write_text("nonsense")
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(InputError, match="damaged checkpoints alone"):
        restore_latest(tmp_path / "run", tree(0))
    assert restore_latest(tmp_path / "run", tree(0)) is None


def test_a_full_disk_is_the_systems_error_whatever_orbax_makes_of_it(tmp_path, monkeypatch, capsys):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def save(self, *_, **__):
            raise ValueError("Failed to write 44531 bytes to file 17: No space left on device [os_error_code='28']")

    with monkeypatch.context() as full:
        full.setattr(checkpoint, "OVERHEAD", 2**60)  # it is seen before orbax begins
        with pytest.raises(OSError, match="No space left"):
            save_tree(tmp_path / "tree", tree(1))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(checkpoint, "_checkpointer", Full)
    with pytest.raises(OSError, match="No space left") as raised:
        save_tree(tmp_path / "tree", tree(1))
    assert raised.value.errno == errno.ENOSPC
    assert run_safely(lambda: save_tree(tmp_path / "tree", tree(1))) == 2
    told = f"error: no space is left for {tmp_path / 'tree'}; free some, or name another path\n"
    assert capsys.readouterr().err == told
