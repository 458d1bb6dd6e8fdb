"""Files of the Hugging Face Hub, by its own library, which keeps them in a cache of its own."""

import functools
from pathlib import Path

from vit_train.errors import CheckpointError, ConfigError, DataError
from vit_train.text import one_line

SCHEME = "hf:"
_BESIDE = ("config.json", "preprocessor_config.json", "open_clip_config.json", "model.safetensors.index.json")
_WEIGHTS = ("model.safetensors", "model-*.safetensors")
_OTHERWISE = ("open_clip_model.safetensors",)  # where there is nothing else: the text encoder is in it, too


@functools.cache
def local(init: str) -> Path:
    """The file or folder of `init`; hf:ORG/NAME and timm:NAME, with @REVISION if wanted, are downloaded if not there.

    Raises ConfigError if the library is not installed, and CheckpointError, one sentence, if it gets no weights.
    """
    scheme, _, rest = init.partition(":")
    if scheme not in ("hf", "timm"):
        return Path(init)
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ConfigError(
            f"init={init}: needs the package huggingface_hub; pip install 'vit-train[hub]', or give a file"
        ) from None
    name, _, revision = rest.partition("@")
    repository = f"timm/{name}" if scheme == "timm" else name
    try:
        for wanted in (_WEIGHTS, _OTHERWISE):
            folder = Path(snapshot_download(repository, revision=revision or None, allow_patterns=[*_BESIDE, *wanted]))
            if any(folder.glob("*.safetensors")):
                return folder
    except (OSError, ValueError) as error:  # among them those of the network, and of names that cannot be
        reason = one_line(str(error).strip().split("\n")[0].rstrip("."))
        raise CheckpointError(f"init={init}: cannot be had from the Hub ({reason})") from error
    raise CheckpointError(f"init={init}: has no .safetensors file of a name that is known; download and name one")


@functools.cache
def data(root: str) -> Path:
    """The folder with the parquet files of hf:ORG/NAME, or of hf:ORG/NAME/FOLDER, with @REVISION if wanted.

    They are downloaded if not there; HF_HUB_OFFLINE=1 keeps the library from that. Raises ConfigError if it is not
    installed, and DataError, one sentence, if it gets none.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ConfigError(
            f"dataset.root={root}: needs the package huggingface_hub; pip install 'vit-train[hub]', or give a folder"
        ) from None
    name, _, revision = root.removeprefix(SCHEME).partition("@")
    organisation, repository, *folders = [*name.split("/"), ""]
    inside = "/".join(filter(None, folders))
    try:
        found = snapshot_download(
            "/".join(filter(None, (organisation, repository))),
            repo_type="dataset",
            revision=revision or None,
            allow_patterns=f"{inside}/*.parquet" if inside else "*.parquet",
        )
    except (OSError, ValueError) as error:
        reason = one_line(str(error).strip().split("\n")[0].rstrip("."))
        raise DataError(f"dataset.root={root}: cannot be had from the Hub ({reason})") from error
    folder = Path(found, inside)
    if not any(folder.rglob("*.parquet")):
        raise DataError(f"dataset.root={root}: has no parquet file; the Hub's own are in {root.partition('@')[0]}"
                        "@refs/convert/parquet, if it has made them")  # fmt: skip
    return folder
