"""The files of a data set that `datasets` saved, or that a repository of the Hugging Face Hub holds."""

import re
from collections import Counter
from operator import itemgetter
from pathlib import Path

from vit_train.data.listing import PART_OF
from vit_train.errors import DataError
from vit_train.files import read_json

_NUMBERED = re.compile(r"(.*)-\d{5}-of-(\d{5})\.parquet")
Shard = tuple[Path, int | None]  # a file, and the part that its name tells


def find_shards(root: Path) -> tuple[list[Shard], tuple[str, ...]]:
    """The files in a folder by `save_to_disk`, or all parquet files in it and below, in their order, and notes.

    The part is the first usual name of one that is a word of the file's name, or else of its folders', from the inner
    to the outer. If there are any, files without are left out. Raises DataError if there are no files.
    """
    if not root.is_dir():
        raise DataError(f"{root}: is no folder; set dataset.root to what save_to_disk wrote, or to a folder of parquet "
                        "files; one parquet file takes dataset=table")  # fmt: skip
    files = _saved(root) or sorted(file for file in root.rglob("*.parquet") if _is_shown(file.relative_to(root)))
    if not files:
        raise DataError(f"{root}: holds nothing that save_to_disk of `datasets` wrote, and no .parquet file; set "
                        "dataset.root to the folder that does")  # fmt: skip
    _require_whole(files)
    shards = [(file, _part(file.relative_to(root))) for file in files]
    without = [str(file) for file, part in shards if part is None]
    if len(without) == len(shards):
        return shards, ()
    shards = sorted((shard for shard in shards if shard[1] is not None), key=itemgetter(1))
    if not without:
        return shards, ()
    note = f"note: files left out: {len(without):,}, such as {without[0]}; their names tell none of train, test and val"
    return shards, (note,)


def find_tables(folder: Path) -> list[Shard]:
    """The CSV files in a folder whose names tell a part, such as train.csv; raises DataError if there are none."""
    files = sorted(folder.glob("*.[ct]sv"))
    shards: list[Shard] = [(file, part) for file in files if (part := _part(Path(file.name))) is not None]
    if not shards:
        raise DataError(f"{folder}: is a folder; name the file, or use dataset=folder for pictures in folders; of a "
                        "folder with tables, their names must tell the parts, as train.csv and test.csv")  # fmt: skip
    return shards


def _saved(root: Path) -> list[Path]:
    """What `save_to_disk` wrote, of a Dataset or a DatasetDict."""
    files = []
    for state in sorted(root.glob("state.json")) or sorted(root.glob("*/state.json")):
        try:
            names = [Path(entry["filename"]).name for entry in read_json(state)["_data_files"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{state}: does not tell the files of the data set; write it again with save_to_disk, or "
                            "use parquet") from error  # fmt: skip
        files += [state.parent / name for name in names]
    return files


def _is_shown(path: Path) -> bool:
    return not any(part.startswith(".") for part in path.parts)


def _require_whole(files: list[Path]) -> None:
    """Raises DataError if a shard is missing, as after a download that was stopped."""
    found = Counter[tuple[Path, str, str]](
        (file.parent, match[1], match[2]) for file in files if (match := _NUMBERED.fullmatch(file.name))
    )
    for (folder, name, number), count in found.items():
        if count != int(number):
            raise DataError(f"{folder}: has {count:,} of the {int(number):,} files {name}-*-of-{number}.parquet; get "
                            "all of them")  # fmt: skip


def _part(path: Path) -> int | None:
    for name in reversed(path.parts):
        for word in re.split(r"[^a-z]+", name.lower()):
            if word in PART_OF:
                return PART_OF[word]
    return None
