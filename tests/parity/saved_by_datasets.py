"""Writes tests/golden/hf with Hugging Face's `datasets`: python tests/parity/saved_by_datasets.py tests/golden/hf"""

import io
import sys
from pathlib import Path

import datasets
from PIL import Image


def picture(number: int) -> dict[str, object]:
    content = io.BytesIO()
    Image.new("RGB", (6, 5), (40 * number, 255 - 40 * number, 7)).save(content, "PNG")
    return {"bytes": content.getvalue(), "path": f"{number}.png"}


if __name__ == "__main__":
    root = Path(sys.argv[1])
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])})
    rows = [{"image": picture(number), "label": number % 2} for number in range(6)]
    both = datasets.DatasetDict(
        train=datasets.Dataset.from_list(rows, features=features),
        test=datasets.Dataset.from_list(rows[2:4], features=features),
    )
    both.save_to_disk(root / "disk", num_shards={"train": 2, "test": 1})
    for part, content in both.items():
        content.to_parquet(root / "hub" / "data" / f"{part}-00000-of-00001.parquet")
