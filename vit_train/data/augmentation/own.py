"""What a plugin's augmentation does to training images, before all else and always on the CPU."""

import re

import tensorflow as tf

from vit_train.config import plugins
from vit_train.config.augmentation import AugmentConfig
from vit_train.errors import ConfigError
from vit_train.text import one_line

# Operations of TensorFlow that give something else each time.
_STATE = re.compile(r"Random|TruncatedNormal|ParameterizedTruncated|Multinomial|Stateful|Eager|PyFunc$|.*Variable")


def vary(config: AugmentConfig, seed: int, images: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """uint8 [B, H, W, C] -> the same, varied by the function of a plugin; `examples` and `epoch` as of `draw`."""
    if config.own is None:
        return images
    # The numbers of `draw` are those of the key `seed << 32 + epoch`: this one is negative, so that no two are alike.
    key = -1 - (tf.constant(seed << 32, tf.int64) + epoch)
    seeds = tf.stack([tf.broadcast_to(key, tf.shape(examples)), examples], axis=1)

    def one(each: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        return _as_bytes(config.own(*each))  # type: ignore[misc]  # what is above

    return tf.map_fn(one, (images, seeds), fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8))


def require_works(config: AugmentConfig, shape: tuple[int, int, int]) -> None:
    """Raises ConfigError, with file and line, if the function of a plugin fails for images of a shape (H, W, C)."""
    if config.own is None:
        return
    signature = (tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((2,), tf.int64))
    with plugins.own_blamed():
        traced = tf.function(config.own, autograph=False).get_concrete_function(*signature)
    name, found = f"augment={config.name}", traced.structured_outputs  # type: ignore[attr-defined]
    if not isinstance(found, tf.Tensor | tf.TensorSpec) or not found.shape.is_compatible_with(shape):
        raise ConfigError(f"{name}: its function gives {one_line(str(found))}, not an image of the shape {[*shape]}")
    if found.dtype != tf.uint8 and not found.dtype.is_floating:
        raise ConfigError(f"{name}: its function gives {found.dtype.name}, and must give uint8 or float32 in [0, 255]")
    if state := [each.type for each in traced.graph.get_operations() if _STATE.match(each.type)]:
        raise ConfigError(
            f"{name}: its function has {state[0]}, which gives something else each time; a batch must follow from its "
            "seed alone, as tf.random.stateless_uniform(shape, seed) does"
        )


def _as_bytes(image: tf.Tensor) -> tf.Tensor:
    return image if image.dtype == tf.uint8 else tf.cast(tf.round(tf.clip_by_value(image, 0, 255)), tf.uint8)
