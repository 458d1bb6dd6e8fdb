"""`vit-runs cache`: the features that frozen networks gave, which runs with train.cache_features keep for the next."""

import argparse
import time

from vit_train.console import print_table, put
from vit_train.data import feature_cache


def run(options: argparse.Namespace) -> int:
    """Prints each file with its size and when it was used last, or removes all of them."""
    found = feature_cache.entries()
    sizes = [path.stat().st_size for path in found]
    if options.clear:
        for path in found:
            path.unlink(missing_ok=True)
        put(f"{len(found)} files removed, {sum(sizes) / 1e6:,.1f} MB")
        return 0
    rows = [
        [path.name, f"{size / 1e6:,.1f}", time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))]
        for path, size in zip(found, sizes, strict=True)
    ]
    if rows:
        print_table(["features", "MB", "last used"], rows)
    put(f"{sum(sizes) / 1e6:,.1f} of at most {feature_cache.LIMIT / 1e6:,.0f} MB in {feature_cache.folder()}")
    return 0
