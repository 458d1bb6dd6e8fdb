import zipfile

import h5py
import pytest

from vit_train.errors import CheckpointError
from vit_train.runs.loading import load

pytestmark = pytest.mark.usefixtures("tensorflow")


def test_the_model_comes_with_its_class_names(trained):
    model, names = load(trained)
    assert names == tuple("0123456789")
    assert model.input_shape == (None, 8, 8, 3)


def test_a_run_without_a_model_is_a_sentence(made):
    run = made("18-00-00.1-digits-vit")
    with pytest.raises(CheckpointError, match=r"model\.keras: there is no such file, nor a checkpoint that has"):
        load(run)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:1000], lambda data: b"", lambda data: data.replace(b"vit", b"vat")]
)
def test_a_damaged_model_is_a_sentence(made, trained, damage):
    run = made("18-00-00.1-digits-vit")
    run.model.write_bytes(damage(trained.model.read_bytes()))
    with pytest.raises(
        CheckpointError,
        match=r"model\.keras: cannot be loaded \(.*\); vit-runs repair makes it again from the checkpoint$",
    ):
        load(run)


def test_a_model_that_unpacks_to_far_more_is_not_unpacked(made):
    run = made("18-00-00.1-digits-vit")
    with zipfile.ZipFile(run.model, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10**6))
    with pytest.raises(CheckpointError, match=r"cannot be loaded \(it unpacks to 1,000,000 bytes, though Keras stores"):
        load(run)


def test_nor_is_one_whose_weights_do(made, trained, tmp_path):
    """HDF5 compresses inside of the archive, in which they are stored as they are."""
    run, weights = made("18-00-00.1-digits-vit"), tmp_path / "model.weights.h5"
    with h5py.File(weights, "w") as file:
        file.create_dataset("layers/dense/vars/0", (30_000, 30_000), "f4", chunks=(1000, 1000), compression="gzip")
    with zipfile.ZipFile(trained.model) as good, zipfile.ZipFile(run.model, "w") as archive:
        for name in good.namelist():
            archive.writestr(name, weights.read_bytes() if name == weights.name else good.read(name))
    with pytest.raises(CheckpointError, match=r"cannot be loaded \(it unpacks to 3,600,\d\d\d,\d\d\d bytes, though"):
        load(run)


def test_a_model_without_class_names_is_a_sentence(made, trained):
    import keras

    run = made("18-00-00.1-digits-vit")
    model, _ = load(trained)
    keras.Model(model.input, model.get_layer("class_names").input).save(run.model)
    with pytest.raises(CheckpointError, match=r"cannot be loaded \(No such layer: class_names"):
        load(run)
