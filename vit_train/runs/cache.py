"""`vit-runs cache`: features and pictures that runs keep for the next, of train.cache_features and dataset.cache."""

import argparse
import time

from vit_train.console import print_table, put
from vit_train.data import feature_cache, kept, picture_cache


def run(options: argparse.Namespace) -> int:
    """Prints each file of features with its size and when it was used last, and all pictures, or removes them."""
    found, pictures = feature_cache.entries(), kept.entries(picture_cache.folder())
    sizes, pixels = ([path.stat().st_size for path in paths] for paths in (found, pictures))
    if options.clear:
        for path in (*found, *pictures):
            path.unlink(missing_ok=True)
        put(f"{len(found) + len(pictures)} files removed, {sum(sizes + pixels) / 1e6:,.1f} MB")
        return 0
    rows = [
        [path.name, f"{size / 1e6:,.1f}", time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))]
        for path, size in zip(found, sizes, strict=True)
    ]
    if rows:
        print_table(["features", "MB", "last used"], rows)
    put(f"{sum(sizes) / 1e6:,.1f} of at most {feature_cache.LIMIT / 1e6:,.0f} MB in {feature_cache.folder()}")
    if pictures:
        put(f"{sum(pixels) / 1e6:,.1f} MB of {len(pictures):,} pictures in {picture_cache.folder()}")
    return 0
