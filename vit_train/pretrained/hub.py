"""Files of the Hugging Face Hub, by its own library, which keeps them in a cache of its own."""

import functools
from pathlib import Path

from vit_train.errors import CheckpointError, ConfigError
from vit_train.text import one_line

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
