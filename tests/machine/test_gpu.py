import pytest

from vit_train.machine import gpu


def test_a_processor_is_none(tensorflow):
    import tensorflow as tf

    assert (gpu.find_gpu("tensorflow") is None) == (not tf.config.get_visible_devices("GPU"))


@pytest.mark.parametrize(("text", "pair"), [("9.0", (9, 0)), ("10.3", (10, 3)), ("", None)])
def test_jax_gives_the_compute_capability_as_text(text, pair):
    assert gpu._version(text) == pair
