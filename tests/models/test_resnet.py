import numpy as np
import pytest

from vit_train.config.compose import load_config

pytestmark = pytest.mark.usefixtures("tensorflow")


@pytest.mark.slow
def test_it_is_the_network_of_keras_with_our_way_in_and_out():
    """Logits of images in [0, 255] are those of keras.applications on normalised ones, with equal weights."""
    import keras

    from vit_train.models.build import build_model
    from vit_train.models.preprocessing import set_statistics

    network = build_model(load_config(["model=resnet50v2", "model.image_size=32"]).model, 100)
    theirs = keras.applications.ResNet50V2(
        weights=None, input_shape=(32, 32, 3), classes=100, classifier_activation=None
    )
    assert network.count_params() == theirs.count_params() + 7 == 23_564_800 + 2_049 * 100 + 7
    theirs.set_weights(network.get_weights()[3:])
    set_statistics(network, np.array([120.0, 125.0, 110.0]), np.array([4600.0, 4300.0, 5000.0]))
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    normalised = (images - [120.0, 125.0, 110.0]) / np.sqrt([4600.0, 4300.0, 5000.0])
    np.testing.assert_allclose(network(images), theirs(normalised.astype(np.float32)), atol=1e-4)
