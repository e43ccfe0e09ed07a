"""What the site needs of its own: figures that no window holds, docstrings as they are here, and a check of names."""

import importlib
import re
from typing import Any

import jax
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx_gallery.scrapers import figure_rst

MODULES = ("", ".functional", ".manifold", ".mcmc", ".targets", ".baselines", ".plot")
"""Where public names are, after the package's own."""
_SHOWN: dict[str, set[int]] = {}


def scrape(block, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Pictures of the figures that a block of an example left in its names (a scraper of sphinx-gallery)."""
    shown = _SHOWN.setdefault(str(block_vars["src_file"]), set())
    figures = [value for value in block_vars["example_globals"].values() if isinstance(value, Figure)]
    paths = []
    for figure in figures:
        if id(figure) not in shown:
            shown.add(id(figure))
            paths.append(next(block_vars["image_path_iterator"]))
            figure.savefig(paths[-1], dpi=150)
            plt.close(figure)
    return figure_rst(paths, gallery_conf["src_dir"])


def in_single_precision(gallery_conf: dict[str, Any], example: str) -> None:
    """Undo what an example in double has set: the next one may run in the same process."""
    jax.config.update("jax_enable_x64", False)


def plain_docstring(app, what: str, name: str, thing, options, lines: list[str]) -> None:
    """Docstrings are plain text, in which backticks are code: signs of formulas mean nothing to a page."""
    if lines and lines[0].startswith("Alias for field number"):
        lines.clear()
    for index, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            pieces = re.split(r"(`[^`]+`)", line)
            lines[index] = "".join(f"`{piece}`" if piece.startswith("`") else _escaped(piece) for piece in pieces)


def _escaped(text: str) -> str:
    return re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", re.sub(r"[*|]", r"\\\g<0>", text))


def public_names() -> set[str]:
    """All names that users may import from `MODULES`."""
    names = set()
    for suffix in MODULES:
        module = importlib.import_module("implicit_manifolds" + suffix)
        for name, value in vars(module).items():
            ours = getattr(value, "__module__", "").startswith("implicit_manifolds")
            if not name.startswith("_") and callable(value) and ours:
                names.add(f"{module.__name__}.{name}")
    return names


def check_names(app: Sphinx, error: Exception | None) -> None:
    """Fail where a public name is in no page of the reference."""
    if error is None and app.builder.name == "html":
        missing = public_names() - set(app.env.get_domain("py").objects)
        if missing:
            raise ExtensionError(f"not in the reference: {', '.join(sorted(missing))}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect these to the build."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", plain_docstring, priority=400)
    app.connect("build-finished", check_names)
    return {"parallel_read_safe": True}
