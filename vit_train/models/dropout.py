"""Dropout whose random bits are made where they are used, and once more in the backward pass, so that none are kept."""

import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from vit_train.machine import kernels
from vit_train.models.fused import fused

_QUICK = 1.702  # of z, at which the sigmoid is nearest to the normal distribution

register = keras.saving.register_keras_serializable(package="vit_train")


def kept(x: Any, rate: float, seed: Any) -> Any:
    """Whether each value of `x`, less than 2 ** 31 of them, stays, bool of its shape: the fraction `rate` does not.

    `rate` is in [0, 1) and `seed` uint32 [2].

    The random bits are a hash of a value's place: C. Wellons' "lowbias32" twice, with half of the seed before each.
    """
    places = ops.reshape(ops.cast(ops.arange(ops.size(x), dtype="int32"), "uint32"), ops.shape(x))
    return _mix(_mix(places + seed[0]) ^ seed[1]) >= ops.cast(min(round(rate * 2**32), 2**32 - 1), "uint32")


def _mix(bits: Any) -> Any:
    """A permutation of the values of uint32, each of whose bits depends on all."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        bits = bits ^ ops.bitwise_right_shift(bits, ops.cast(shift, "uint32"))
        bits = bits * ops.cast(factor, "uint32")
    return bits ^ ops.bitwise_right_shift(bits, ops.cast(16, "uint32"))


@fused
def drop(x: Any, rate: float, seed: Any) -> Any:
    """`x` with the fraction `rate` of its values 0 and the others divided by 1 - rate."""
    return ops.where(kept(x, rate, seed), x * ops.cast(1 / (1 - rate), x.dtype), ops.cast(0, x.dtype))


@register
class Dropout(keras.layers.Dropout):
    """Keras' layer with a random generator that costs a tenth; Keras' own for a `noise_shape` and a rate of 1."""

    drawn: Iterator[Any] | None = None  # seeds of a call that is computed twice, and has to drop the same

    def call(self, x: Any, training: bool = False) -> Any:
        if not self.drops(x, training):
            return super().call(x, training=training)
        seed = self.next_seed()
        return ops.custom_gradient(lambda x: (drop(x, self.rate, seed), lambda dy: drop(dy, self.rate, seed)))(x)

    def drops(self, x: Any, training: bool | None) -> bool:
        """Whether values of `x` are to be dropped, and here."""
        return bool(training) and self.rate > 0 and self.fuses(x)

    def fuses(self, x: Any) -> bool:
        """Whether the operations of this module may compute `x`: PyTorch cannot calculate with uint32."""
        if not kernels.fused() or keras.config.backend() == "torch":
            return False
        single = keras.backend.standardize_dtype(x.dtype) in ("float32", "bfloat16", "float16")
        return single and self.rate < 1 and self.noise_shape is None

    def next_seed(self) -> Any:
        """uint32 [2], another one at each call and in each of TensorFlow's replicas; or one that was drawn for it."""
        if self.drawn is not None:
            return next(self.drawn)
        seed, count = ops.unstack(ops.cast(self.seed_generator.next(), "uint32"), 2)
        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            context = tf.distribute.get_replica_context()
            if context:  # several devices share one seed, and shall not drop the same in their parts of a batch
                seed += _mix(ops.cast(context.replica_id_in_sync_group, "uint32"))
        # Other constants would do; without any, the seed 0 would make both halves cancel each other at the first place.
        first, second = _mix(seed + ops.cast(0x9E3779B9, "uint32")), _mix(count + ops.cast(0x85EBCA6B, "uint32"))
        return ops.stack([_mix(first ^ count), _mix(second ^ seed)])


@register
class GeluDropout(Dropout):
    """GELU (arXiv 1606.08415) and dropout after it.

    `form` is "gelu", exact, or one of the paper's two approximations: "gelu_tanh" or "quick_gelu", x sigmoid(1.702 x).
    """

    def __init__(self, rate: float, form: str = "gelu", **options: Any) -> None:
        super().__init__(rate, **options)
        self.form = form

    def call(self, x: Any, training: bool = False) -> Any:
        drops, form = self.drops(x, training), self.form
        # Keras' exact GELU is one operation; the others are several of them, each of which goes over memory.
        if not drops and not (training and form != "gelu" and self.rate == 0 and self.fuses(x)):
            return super().call(_gelu(x, form), training=training)
        rate, seed = self.rate, self.next_seed() if drops else None

        def activated(x: Any) -> Any:
            options = rate, seed, form
            return _gelu_drop(x, *options), lambda dy: _gelu_drop_gradient(x, dy, *options)

        return ops.custom_gradient(activated)(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "form": self.form}


def _gelu(x: Any, form: str) -> Any:
    """By operations of Keras alone, which every format of an export knows."""
    if form == "quick_gelu":
        return x * ops.sigmoid(_QUICK * x)
    return keras.activations.gelu(x, approximate=form == "gelu_tanh")


@fused
def _gelu_drop(x: Any, rate: float, seed: Any, form: str) -> Any:
    z = ops.cast(x, "float32")
    return _dropped(z * _normal_cdf(z, form), x, rate, seed)


@fused
def _gelu_drop_gradient(x: Any, dy: Any, rate: float, seed: Any, form: str) -> Any:
    z = ops.cast(x, "float32")
    if form == "quick_gelu":
        sigmoid = ops.sigmoid(_QUICK * z)
        slope = sigmoid + _QUICK * z * sigmoid * (1 - sigmoid)
    elif form == "gelu_tanh":
        tanh = ops.tanh(_tanh_argument(z))
        slope = (1 + tanh) / 2 + z / 2 * (1 - tanh * tanh) * (2 / math.pi) ** 0.5 * (1 + 3 * 0.044715 * z * z)
    else:
        slope = _normal_cdf(z, form) + z * ops.exp(-z * z / 2) * (2 * math.pi) ** -0.5
    return _dropped(ops.cast(dy, "float32") * slope, x, rate, seed)


def _dropped(values: Any, x: Any, rate: float, seed: Any) -> Any:
    if rate:
        values = ops.where(kept(x, rate, seed), values / (1 - rate), 0.0)
    return ops.cast(values, x.dtype)


def _normal_cdf(z: Any, form: str) -> Any:
    if form == "quick_gelu":
        return ops.sigmoid(_QUICK * z)
    if form == "gelu_tanh":
        return (1 + ops.tanh(_tanh_argument(z))) / 2
    return (1 + ops.erf(z * 0.5**0.5)) / 2


def _tanh_argument(z: Any) -> Any:
    return (2 / math.pi) ** 0.5 * (z + 0.044715 * z * z * z)
