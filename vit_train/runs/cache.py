"""`vit-runs cache`: what runs keep for the next: features, pictures, and programs that JAX has compiled."""

import argparse
import time
from collections.abc import Iterable
from pathlib import Path

from vit_train.console import print_table, put
from vit_train.data import feature_cache, kept, picture_cache
from vit_train.files import cache_folder
from vit_train.machine.backend import PROGRAMS_LIMIT


def run(options: argparse.Namespace) -> int:
    """Prints each file of features with its size and when it was used last, and all others, or removes them."""
    found, pictures = feature_cache.entries(), kept.entries(picture_cache.folder())
    programs = [path for folder in cache_folder().glob("jax-*") for path in kept.entries(folder)]
    if options.clear:
        every = [*found, *pictures, *programs]
        removed = _megabytes(every)
        for path in every:
            path.unlink(missing_ok=True)
        put(f"{len(every)} files removed, {removed} MB")
        return 0
    rows = [
        [path.name, _megabytes([path]), time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))]
        for path in found
    ]
    if rows:
        print_table(["features", "MB", "last used"], rows)
    put(f"{_megabytes(found)} of at most {feature_cache.LIMIT / 1e6:,.0f} MB in {feature_cache.folder()}")
    if pictures:
        put(f"{_megabytes(pictures)} MB of {len(pictures):,} pictures in {picture_cache.folder()}")
    if programs:
        put(
            f"{_megabytes(programs)} of at most {PROGRAMS_LIMIT / 1e6:,.0f} MB of {len(programs):,} programs compiled "
            f"by JAX for each kind of processor, in {cache_folder()}/jax-*"
        )
    return 0


def _megabytes(paths: Iterable[Path]) -> str:
    return f"{sum(path.stat().st_size for path in paths) / 1e6:,.1f}"
