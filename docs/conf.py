"""How the site is made of these pages, the docstrings and the examples: `make docs`."""

import os
import sys
import warnings
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs"), str(ROOT)]
os.environ.setdefault("TQDM_DISABLE", "1")
# As in the tests: examples take longer to compile than to run.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_parallel_codegen_split_count=1 --xla_backend_optimization_level=1"
    " --xla_llvm_disable_expensive_passes=true",
)
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
warnings.filterwarnings("ignore", message="JAXopt is no longer maintained")

project = "implicit_manifolds"
author = copyright = "the implicit_manifolds authors"
version = release = version_of("implicit-manifolds")

extensions = ["site_parts", "myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
extensions += ["sphinx_gallery.gen_gallery", "sphinx_copybutton"]
exclude_patterns = ["gallery/*.ipynb", "gallery/*.py", "requirements.txt"]
html_theme = "furo"
html_title = f"implicit_manifolds {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]

myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "imported-members": True, "undoc-members": False}
python_maximum_signature_line_length = 90
toc_object_entries_show_parents = "hide"

COSTLY = "closed_chains|fitzhugh_nagumo|molecule|orthonormal_factors"  # minutes of compilation
QUICK = "images|linkage|out_of_distribution|rotations|torus_posterior"  # less than half a minute
EXECUTED = {
    "all": r"\.py$",
    "usual": rf"^(?!.*({COSTLY})\.py$).*\.py$",
    "quick": rf"({QUICK})\.py$",
}[os.environ.get("GALLERY", "usual")]
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": EXECUTED,
    "ignore_pattern": r"__init__|several_machines",
    "image_scrapers": ("site_parts.scrape",),
    "reset_modules": ("site_parts.in_single_precision",),
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "min_reported_time": 3600,
    "download_all_examples": False,
    "parallel": min(2, os.cpu_count() or 1),  # each has a process of its own, some of gigabytes
}
