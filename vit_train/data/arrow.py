"""Parquet files, and Arrow files of `datasets`: columns of text, and pictures whose bytes stay where they are."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vit_train.data.columns import Columns, find_column, key_of
from vit_train.data.packed import Stores
from vit_train.errors import ConfigError, DataError
from vit_train.text import one_line

SUFFIXES = (".parquet", ".arrow")
_MOST_ROWS = 10**8  # a few bytes can declare more than any memory holds
_AT_ONCE = 16  # rows of parquet
# A file of some kilobytes can unpack to any size, in memory and in the copy on the disk; pictures are compressed.
_MOST_UNPACKED, _ALWAYS_UNPACKED = 100, 2**28  # times the file's bytes, and bytes


def read_arrow(file: Path, names: Mapping[str, str | None], stores: Stores) -> Columns:
    """The columns of the kinds in `names`, as `read_columns` of a CSV file; rows are counted from 0.

    A column of pictures' bytes, or of {bytes, path} as `datasets` writes them, is in `places`, and its bytes are in
    `stores`. Raises DataError for a file that is damaged or of columns that are of no use, with memory for one group of
    rows, and ConfigError if pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise ConfigError(f"{file}: needs the package pyarrow; pip install 'vit-train[parquet]'") from None
    if not file.is_file():
        raise DataError(f"{file}: {'is no file' if file.exists() else 'there is no such file'}; set dataset.root")
    try:
        return _read(file, names, stores)
    except OSError as error:
        reason = error.strerror or one_line(str(error).rstrip("."))
        raise DataError(f"{file}: cannot be read ({reason}); fix that, or write it again") from error
    except (pyarrow.ArrowException, ValueError) as error:
        reason = one_line(str(error).split("\n")[0].rstrip("."))
        raise DataError(f"{file}: is damaged, or no {file.suffix[1:]} file ({reason}); write it again") from error


def _read(file: Path, names: Mapping[str, str | None], stores: Stores) -> Columns:
    opened = _Parquet(file, stores) if file.suffix == ".parquet" else _Arrow(file, stores)
    columns = _chosen(file, opened.schema, names)
    class_names = _class_names(file, opened.schema, columns["label"])
    cells = {kind: list[str]() for kind in columns}
    places, count = [np.zeros((0, 3), np.int64)], 0
    packed = _is_packed(opened.schema.field(columns["path"]).type)
    for batch in opened.batches([*columns.values()]):
        if not len(batch):
            continue
        for kind, column in columns.items():
            if kind == "path" and packed:
                places.append(opened.places(_bytes(file, batch.column(column), count)))
            else:
                cells[kind] += _text(batch.column(column))
        count += len(batch)
        _require_few(file, count)
    if count != (declared := opened.rows if opened.rows is not None else count):
        raise DataError(f"{file}: declares {declared:,} rows and holds {count:,}; write it again")
    table = Columns(file, range(count), cells, class_names, np.concatenate(places) if packed else None)
    return table if class_names is None else _named(table, class_names)


def _require_few(file: Path, rows: int) -> None:
    if rows > _MOST_ROWS:
        raise DataError(f"{file}: declares {rows:,} rows, and at most {_MOST_ROWS:,} are read; split it, or write it "
                        "again")  # fmt: skip


class _Parquet:
    """A parquet file, read some rows at a time; what it holds is compressed, so pictures are copied."""

    def __init__(self, file: Path, stores: Stores) -> None:
        from pyarrow import parquet

        # With a map and no buffers ahead, memory has a page of each column and not a whole group of rows.
        self._file = parquet.ParquetFile(file, memory_map=True, pre_buffer=False, page_checksum_verification=True)
        self._stores, self.schema, self.rows = stores, self._file.schema_arrow, self._file.metadata.num_rows
        self._path, self._copied = file, 0
        _require_few(file, self.rows)

    def batches(self, columns: list[str]) -> Iterator[Any]:
        about = self._file.metadata
        groups = [about.row_group(number) for number in range(about.num_row_groups)]
        parts = [group.column(number) for group in groups for number in range(group.num_columns)]
        chosen = [part.total_uncompressed_size for part in parts if part.path_in_schema.split(".")[0] in columns]
        self._require_bounded(sum(chosen))
        yield from self._file.iter_batches(_AT_ONCE, columns=columns, use_threads=False)

    def _require_bounded(self, unpacked: int) -> None:
        if unpacked > max(_MOST_UNPACKED * self._path.stat().st_size, _ALWAYS_UNPACKED):
            raise DataError(f"{self._path}: unpacks to {unpacked:,} bytes or more, over {_MOST_UNPACKED} times its "
                            "own, which pictures do not; write it again with other ones")  # fmt: skip

    def places(self, pictures: Any) -> npt.NDArray[np.int64]:
        offsets, content = _buffers(pictures)
        self._copied += int(offsets[-1] - offsets[0])  # one value of a dictionary may be that of many rows
        self._require_bounded(self._copied)
        start = self._stores.copy(content[offsets[0] : offsets[-1]])
        return _places(0, start - offsets[0], offsets)


class _Arrow:
    """A stream of Arrow, as `save_to_disk` of `datasets` writes it: pictures are used where they are in the file."""

    rows = None  # nothing declares them

    def __init__(self, file: Path, stores: Stores) -> None:
        import pyarrow

        self._path = file
        self._number, self._mapped = stores.map(file)
        self._stream = pyarrow.ipc.open_stream(pyarrow.py_buffer(self._mapped))
        self.schema = self._stream.schema

    def batches(self, columns: list[str]) -> Iterator[Any]:
        for batch in self._stream:
            _require_few(self._path, len(batch))
            chosen = batch.select(columns)
            chosen.validate(full=True)  # offsets of a damaged file lead anywhere
            yield chosen

    def places(self, pictures: Any) -> npt.NDArray[np.int64]:
        offsets, content = _buffers(pictures)
        start = content.ctypes.data - self._mapped.ctypes.data
        if len(content) and not 0 <= start <= len(self._mapped) - len(content):
            raise DataError(f"{self._path}: is compressed; write it with save_to_disk, or as parquet")
        return _places(self._number, start, offsets)


def _buffers(pictures: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Where each of an array's N pictures begins and the last one ends, [N + 1], in the bytes of them all."""
    import pyarrow

    _, offsets, content = pictures.buffers()
    kind = np.int64 if pyarrow.types.is_large_binary(pictures.type) else np.int32
    return (
        np.frombuffer(offsets, kind)[pictures.offset :][: len(pictures) + 1].astype(np.int64),
        np.frombuffer(content or b"", np.uint8),
    )


def _places(store: int, start: int, offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.stack([np.full(len(offsets) - 1, store), start + offsets[:-1], np.diff(offsets)], axis=1)


def _is_packed(kind: Any) -> bool:
    """Whether a column of this type has the bytes of pictures."""
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_packed(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _chosen(file: Path, schema: Any, names: Mapping[str, str | None]) -> dict[str, str]:
    """The name of the column of each kind. The only one with pictures' bytes needs no usual name."""
    from pyarrow import types

    columns = {}
    packed = [field.name for field in schema if _is_packed(field.type)]
    for kind, name in names.items():
        wanted = packed[0] if kind == "path" and name is None and len(packed) == 1 else name
        if (place := find_column(file, schema.names, kind, wanted, "it")) is None:
            continue
        columns[kind], found = schema.names[place], schema.field(place).type
        base = found.value_type if types.is_dictionary(found) else found
        text = types.is_string(base) or types.is_large_string(base)
        if not (text or (_is_packed(base) if kind == "path" else types.is_integer(base))):
            wants = "text, or bytes of pictures" if kind == "path" else "text or whole numbers"
            raise DataError(f"{file}: its column {columns[kind]} holds {one_line(str(found))}, where {wants} must be; "
                            f"set {key_of(kind)} to another one")  # fmt: skip
    return columns


def _text(column: Any) -> list[str]:
    """The cells as text, "" where there is none."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return [cell.strip() for cell in column.cast(pyarrow.string()).fill_null("").to_pylist()]


def _bytes(file: Path, column: Any, first: int) -> Any:
    """The pictures in some rows, of which `first` is the first."""
    import pyarrow

    if pyarrow.types.is_struct(column.type):
        column = column.flatten()[column.type.get_field_index("bytes")]
    if column.null_count:
        row = first + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(f"{file}: row {row:,}: has no picture in it; remove the row or, if it has a path, write the "
                        "file with embed_external_files=True")  # fmt: skip
    return column


def _class_names(file: Path, schema: Any, label: str) -> tuple[str, ...] | None:
    """The names of labels that are whole numbers, where `datasets` has written them."""
    told = (schema.metadata or {}).get(b"huggingface")
    if told is None:
        return None
    try:
        names = json.loads(told)["info"]["features"][label].get("names")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{file}: what `datasets` says in it of the column {label} makes no sense; write it again with "
                        "`datasets`") from error  # fmt: skip
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise DataError(f"{file}: the names of the classes of its column {label} are no text; write it again")
    if len(set(names)) < len(names):
        raise DataError(f"{file}: two classes of its column {label} have one name; rename one of them")
    return tuple(names)


def _named(table: Columns, names: tuple[str, ...]) -> Columns:
    """With the names of the labels in place of their numbers."""
    shown, known = table.cells["label"], {str(number): name for number, name in enumerate(names)}
    table.require(
        [label in known for label in shown],
        lambda place: (
            f"its label '{shown[place]}' is none of 0 to {len(names) - 1}, the numbers of the classes; correct it or "
            "remove the row"
        ),
    )
    table.cells["label"] = [known[label] for label in shown]
    return table
