"""JAX's cache of compiled programs, for commands whose every run would compile the same ones."""

import sys
from pathlib import Path

import jax
import pooch

OFF = "--no-compilation-cache"


def keep_programs() -> Path | None:
    """Keep compiled programs in the user's cache directory, and say so on stderr the first time; where they are kept.

    None where JAX's own settings say otherwise: `JAX_ENABLE_COMPILATION_CACHE=false`, or a directory that is set.
    """
    settings = jax.config.values
    if not settings["jax_enable_compilation_cache"] or settings["jax_compilation_cache_dir"] is not None:
        return None
    folder = Path(pooch.os_cache("implicit-manifolds")) / "jax"
    if not folder.exists():
        print(f"compiled programs are kept in {folder} for later runs; {OFF} turns that off", file=sys.stderr)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Most of what a fit compiles takes less than JAX's default of a second, and adds up.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder
