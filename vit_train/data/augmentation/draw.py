"""What is to be done with each image: a pure function of (seed, example, epoch)."""

import math

import tensorflow as tf

from vit_train.config.augmentation import AugmentConfig
from vit_train.data.augmentation import geometry
from vit_train.data.augmentation.apply import Parameters
from vit_train.data.augmentation.geometry import Affine, compose
from vit_train.data.augmentation.mixing import unmixed
from vit_train.data.augmentation.policies import CODE, NUMBERS, draw_operations, slots
from vit_train.data.augmentation.tone import tables
from vit_train.data.augmentation.uniforms import uniforms

# Each use has random numbers of its own, so that no key changes what another one draws: the first four are of flip,
# rotation and zoom; then so many for
_PLACES = {"crop": 4, "lean": 4, "erase": 5, "choice": 1}
_BASIC = 4


def draw(
    config: AugmentConfig, seed: int, examples: tf.Tensor, epoch: tf.Tensor, source: tuple[int, int], size: int
) -> Parameters:
    """The draws with which `examples` (int64 [B]) are varied in `epoch` (int64 []).

    `source` is (height, width) of the images, `size` the side of the result. Flip, rotation and zoom are distributed as
    Keras' RandomFlip("horizontal"), RandomRotation(config.rotation) and RandomZoom(config.zoom, config.zoom), applied
    in this order. `resolve` makes parameters of it.
    """
    key = tf.constant(seed << 32, tf.int64) + epoch  # the two halves of one number: no two pairs share it
    more = _BASIC + sum(_PLACES.values()) + slots(config) * NUMBERS
    needs_more = config.policy != "none" or config.crop_padding or config.crops or config.shear or config.translate
    count = more if needs_more or config.erase else _BASIC
    # Only where it knows the shape, TensorFlow reorders the factors below, as it always did: another last bit.
    numbers = tf.ensure_shape(uniforms(key, examples, count), [None, count])
    flip, rotation, zoom_x, zoom_y, *rest = tf.unstack(numbers, axis=1)
    mirror = tf.where((flip < 0) & config.flip, -1.0, 1.0)
    angle = rotation * (config.rotation * 2 * math.pi)
    affine = geometry.turn_and_resize(mirror, angle, 1 + zoom_x * config.zoom, 1 + zoom_y * config.zoom, source, size)
    if count == _BASIC:
        return {"transforms": geometry.rows(affine)}
    crop, lean, erase, (choice,), of_policy = _split(rest)
    draws: dict[str, tf.Tensor] = {}
    if config.shear or config.translate:
        affine = _lean(affine, config, lean, size)
    if config.policy != "none":
        codes, told = draw_operations(config, tf.stack(of_policy, axis=1), choice, source)
        draws |= {"codes": codes, "told": told}
        for slot in range(slots(config)):
            affine = compose(affine, operation(codes[:, slot], told[:, slot], source, size))
    draws["transforms"] = geometry.rows(_crop(affine, config, crop, source))
    if config.erase:
        draws["erase"] = _rectangle(config, erase, size)
    return draws


def resolve(images: tf.Tensor, draws: Parameters) -> Parameters:
    """The parameters for `images` (uint8 [B, H, W, C]): what `draw` drew, in the form in which it is applied."""
    if "codes" not in draws:
        return draws
    codes, told = draws["codes"], draws["told"]
    factors = [tf.reduce_prod(tf.where(codes == CODE[name], told, 1.0), axis=1) for name in ("color", "sharpness")]
    kept = {name: value for name, value in draws.items() if name not in ("codes", "told")}
    return {**kept, "tables": tables(images, codes, told), "factors": tf.stack(factors, axis=1)}


def unvaried(config: AugmentConfig, batch: tf.Tensor, shape: tuple[int, int, int], size: int) -> Parameters:
    """The parameters with which `batch` images of `shape` (H, W, C) are resized and nothing else.

    They have the form of those of training only if that is needed, by a model that has them as inputs.
    """
    parameters: dict[str, tf.Tensor] = {"transforms": geometry.rows(geometry.resize(batch, shape[:2], size))}
    if config.placement == "host":
        return parameters
    if config.policy != "none":
        same = tf.cast(tf.range(256), tf.uint8)
        parameters |= {"tables": tf.tile(same[None, None], [batch, shape[2], 1]), "factors": tf.ones([batch, 2])}
    if config.erase:
        parameters["erase"] = tf.zeros([batch, 4])
    return {**parameters, **(unmixed(batch) if config.mixes else {})}


def operation(code: tf.Tensor, told: tf.Tensor, source: tuple[int, int], size: int) -> Affine:
    """The geometry of an operation int32 [B] of `policies`, told float32 [B]; all others are the identity.

    A shear keeps the upper left corner in its place, as in Pillow and torchvision.
    """

    def of(name: str) -> tf.Tensor:
        return tf.where(code == CODE[name], told, 0.0)

    height, width = source
    turned = geometry.turn(of("rotate") * (math.pi / 180), size)
    slanted = geometry.slant(of("shear_x"), of("shear_y"), -0.5)
    shifted = geometry.shift(of("translate_x") * (size / width), of("translate_y") * (size / height))
    return compose(compose(turned, slanted), shifted)  # only one of them is not the identity


def _split(numbers: list[tf.Tensor]) -> list[list[tf.Tensor]]:
    parts, start = [], 0
    for count in _PLACES.values():
        parts.append(numbers[start : start + count])
        start += count
    return [*parts, numbers[start:]]


def _lean(affine: Affine, config: AugmentConfig, numbers: list[tf.Tensor], size: int) -> Affine:
    """Shear about the centre, then a shift."""
    slanted = geometry.slant(numbers[0] * config.shear, numbers[1] * config.shear, (size - 1) / 2)
    reach = config.translate * size
    return compose(compose(affine, slanted), geometry.shift(numbers[2] * reach, numbers[3] * reach))


def _crop(affine: Affine, config: AugmentConfig, numbers: list[tf.Tensor], source: tuple[int, int]) -> Affine:
    """The crop comes before all else in the image, so it is the outermost map."""
    x, y, area, ratio = ((number + 1) / 2 for number in numbers)
    if config.crop_padding:
        choices, most = 2 * config.crop_padding + 1, config.crop_padding
        x, y = (tf.minimum(tf.floor(number * choices), choices - 1.0) - most for number in (x, y))
        return affine._replace(a2=affine.a2 + x, b2=affine.b2 + y)
    if config.crops:
        width, height = _sides(area, ratio, config.crop_scale, config.crop_ratio, source)
        return compose(geometry.box(x, y, width, height, source), affine)
    return affine


def _sides(
    area: tf.Tensor, ratio: tf.Tensor, areas: tuple[float, ...], ratios: tuple[float, ...], shape: tuple[int, int]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Width and height, as fractions of an image of (height, width) `shape`, from numbers in [0, 1).

    As torchvision's RandomResizedCrop and RandomErasing have it, the area is even and the ratio even in its logarithm;
    but a side that would be longer than the image is cut, where they draw again.
    """
    low, high = math.log(ratios[0]), math.log(ratios[1])
    wanted = (areas[0] + area * (areas[1] - areas[0])) * (shape[0] * shape[1])
    stretch = tf.exp(low + ratio * (high - low))
    return tf.minimum(tf.sqrt(wanted * stretch) / shape[1], 1.0), tf.minimum(tf.sqrt(wanted / stretch) / shape[0], 1.0)


def _rectangle(config: AugmentConfig, numbers: list[tf.Tensor], size: int) -> tf.Tensor:
    """float32 [B, 4] = (left, top, right, bottom), whole pixels; empty where nothing is erased."""
    whether, area, ratio, x, y = ((number + 1) / 2 for number in numbers)
    sides = _sides(area, ratio, config.erase_area, config.erase_ratio, (size, size))
    width, height = (tf.where(whether < config.erase, tf.round(side * size), 0.0) for side in sides)
    left, top = tf.floor(x * (size - width + 1)), tf.floor(y * (size - height + 1))
    return tf.stack([left, top, left + width, top + height], axis=1)
