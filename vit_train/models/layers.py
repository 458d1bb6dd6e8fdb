"""Small parts that the models share.

Shape suffixes: B batch, N tokens, D width of a token.
"""

import math
from typing import Any

import keras
from keras import ops

from vit_train.models.dropout import Dropout

Shape = tuple[int | None, ...]
register = keras.saving.register_keras_serializable(package="vit_train")


@register
class GlorotUniform2021(keras.initializers.Initializer):
    """Glorot uniform with the fans that Keras 2 gave to a kernel of three dimensions.

    Keras 2 read an attention kernel (a, b, c) as a convolution: fan_in = a * b and fan_out = a * c. Keras 3 passes the
    true input and output axes, so its query, key and value kernels start 3.7 times larger at (64, 4, 64).
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None, **kwargs: Any) -> Any:
        receptive_field = math.prod(shape[:-2])
        limit = math.sqrt(6 / (receptive_field * (shape[-2] + shape[-1])))
        return keras.initializers.RandomUniform(-limit, limit, seed=self.seed)(shape, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


# Of dense kernels, as Keras' layers take them. ViT implementations cut the normal at twice its deviation, as BERT did.
TRUNCATED_NORMAL = {"class_name": "TruncatedNormal", "config": {"stddev": 0.02}}
INITIALIZERS = {"glorot": "glorot_uniform", "trunc_normal": TRUNCATED_NORMAL}
ATTENTION_INITIALIZERS = {"glorot_2021": GlorotUniform2021, "glorot": keras.initializers.GlorotUniform}
ATTENTION_INITIALIZERS["trunc_normal"] = lambda: keras.initializers.get(TRUNCATED_NORMAL)


@register
class DropPath(Dropout):
    """Drops whole examples of a residual branch, [B, N, D], in training, and divides the others by 1 - rate.

    Stochastic depth (arXiv 1603.09382), drawn for each example as in timm.
    """

    def call(self, x_BND: Any, training: bool = False) -> Any:
        if not (training and self.rate > 0):
            return x_BND
        examples = (ops.shape(x_BND)[0], *(1 for _ in x_BND.shape[1:]))
        return x_BND * super().call(ops.ones(examples, x_BND.dtype), training=training)


@register
class LayerScale(keras.layers.Layer):
    """A learned gain for each channel of a residual branch, [B, N, D], which starts at `initial` (arXiv 2103.17239)."""

    def __init__(self, initial: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Shape) -> None:
        start = keras.initializers.Constant(self.initial)
        self.gain = self.add_weight(name="gain", shape=input_shape[-1:], initializer=start)

    def call(self, x_BND: Any) -> Any:
        return x_BND * self.gain

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "initial": self.initial}
