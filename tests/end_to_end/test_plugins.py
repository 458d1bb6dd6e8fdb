"""Models, data sets, augmentations and metrics of one's own, as docs/plugins.md has them, through the commands."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vit_train
from vit_train import cli
from vit_train.config import plugins
from vit_train.config.compose import load_config
from vit_train.config.own import ACTIVE
from vit_train.errors import ConfigError
from vit_train.rundir import history, predictions
from vit_train.runs.cli import run as vit_runs
from vit_train.runs.recipe import written_as_recipe
from vit_train.sweep import plan, pool

pytestmark = pytest.mark.usefixtures("eagerly")

DOC = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"
EXAMPLES = {
    re.match(r'"""(\w+\.py)', code)[1]: code  # type: ignore[index]
    for code in re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
}
SHORT = "train.epochs=1 train.batch_size=32 train.steps_per_epoch=2 figures=false dataset.fraction=0.2".split()
MIXER = "plugin=my_mixer.py dataset=digits model=my_mixer model.image_size=8 model.width=8 model.depth=1".split()
SHAPES = "plugin=my_shapes.py dataset=my_shapes dataset.count=300 model.image_size=16 model.patch_size=8".split()
USES = ("evaluate latest", "predict latest picture.png", "figures latest", "repair latest",
        "export latest --format keras")  # fmt: skip
TINY_SIZE = ["model.image_size=8", "model.patch_size=4", "model.projection_dim=8", "model.depth=1", "model.heads=2"]
TINY_SIZE += ["model.head_units=[8]"]
SMALL = "model.projection_dim=8 model.depth=1 model.heads=2 model.head_units=[8]".split()


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory with the examples."""
    monkeypatch.chdir(tmp_path)
    for name, code in EXAMPLES.items():
        (tmp_path / name).write_text(code)
    return tmp_path


def ran(capsys, *arguments):
    assert cli.run([*arguments]) == 0
    return Path(capsys.readouterr().out.splitlines()[-1])


def refused(capsys, command, *arguments):
    assert command([*arguments]) == 2
    return capsys.readouterr().err.splitlines()[-1].split(": ", 1)[1]


def test_the_examples_are_short():
    assert list(EXAMPLES) == ["my_mixer.py", "my_shapes.py", "my_grain.py", "my_worst.py"]
    assert all(code.count("\n") <= 40 for code in EXAMPLES.values())


def test_a_model_of_ones_own_is_used_as_any_other_by_who_names_its_file(here, capsys):
    run = ran(capsys, *MIXER, *SHORT)
    digest = json.loads((run / "environment.json").read_text())["plugins"]["my_mixer.py"]
    assert re.fullmatch("[0-9a-f]{64}", digest)
    Image.new("L", (8, 8), 99).save("picture.png")
    moved = (here / "my_mixer.py").rename(here / "elsewhere.py")

    needs = (
        f"{run}: needs code of its own, my_mixer.py, which no file can have executed; name it in the command: plugin="
    )
    for verb in USES:
        assert refused(capsys, vit_runs, *verb.split()).startswith(needs)
    assert vit_runs(["evaluate", "latest", "--plugin", moved.name]) == 0
    assert refused(capsys, cli.run, f"resume={run}", "train.epochs=2").startswith(needs)
    assert ran(capsys, f"resume={run}", "train.epochs=2", f"plugin={moved.name}") == run
    assert len((run / "history.csv").read_text().splitlines()) == 3
    assert json.loads((run / "environment.json").read_text())["plugins"] == {moved.name: digest}

    moved.write_text(moved.read_text() + "\n")
    for command, arguments in ((vit_runs, ["evaluate", "latest", "--plugin", moved.name]),
                               (cli.run, [f"resume={run}", "train.epochs=3", f"plugin={moved.name}"])):  # fmt: skip
        assert refused(capsys, command, *arguments).startswith(
            f"{moved.name}: is not the file that {run} was begun with"
        )


@pytest.mark.slow
def test_every_verb_takes_it(capsys):
    ran(capsys, *SHAPES, *SMALL, *SHORT)
    assert vit_runs(["figures", "latest", "--plugin", "my_shapes.py"]) == 0
    assert "not made again" not in (printed := capsys.readouterr()).err, printed.err
    ran(capsys, *MIXER, *SHORT)
    Image.new("L", (8, 8), 99).save("picture.png")
    for verb in USES:
        assert vit_runs([*verb.split(), "--plugin", "my_mixer.py"]) == 0


@pytest.mark.slow
def test_so_is_a_data_set(capsys):
    run = ran(capsys, *SHAPES, *SMALL, *SHORT)
    assert vit_runs(["evaluate", "latest", "--plugin", "my_shapes.py"]) == 0
    assert "test │     12 │" in capsys.readouterr().out
    assert vit_runs(["evaluate", "latest", "--plugin", "my_shapes.py", "--dataset", "my_shapes"]) == 0
    assert "test │    120 │" in capsys.readouterr().out
    assert json.loads((run / "environment.json").read_text())["class_names"] == ["cross", "square"]


def test_an_augmentation_follows_from_seed_example_and_epoch():
    from vit_train.data.augmentation.own import vary

    with plugins.loaded(["my_grain.py"]):
        config = load_config(["plugin=my_grain.py", "augment=my_grain"]).augment
    images = np.full((4, 8, 8, 3), (90, 120, 150), np.uint8)

    def varied(seed=0, examples=(0, 1, 2, 3), epoch=0):
        chosen = np.array(examples, np.int64)
        return vary(config, seed, images[: len(chosen)], chosen, np.int64(epoch)).numpy().astype(int)

    found = varied()
    noise = found - images
    assert 5 < noise.std() < 20  # the grain, and colours that are less
    assert (np.ptp(noise, axis=(1, 2)).min(axis=-1) > 20).all()
    np.testing.assert_array_equal(found[2:], varied(examples=(2, 3)))  # in whatever batch
    assert len(np.unique(found.reshape(4, -1), axis=0)) == 4
    for other in (varied(seed=1), varied(epoch=1), varied(examples=(4, 5, 6, 7))):
        assert (other != found).mean() > 0.9


def test_an_augmentation_is_in_the_batches_of_both_placements():
    from vit_train.data import sources
    from vit_train.data.augmentation.apply import apply
    from vit_train.data.pipeline import training_batches

    arguments = ["plugin=my_grain.py", "augment=my_grain", "dataset=digits", "train.batch_size=16", *TINY_SIZE]
    with plugins.loaded(["my_grain.py"]):
        dataset = sources.load_dataset(load_config(arguments))
        found = {}
        for more in ("augment=none", "augment.placement=host", "augment.placement=device"):
            ((found[more], _),) = training_batches(dataset.train, load_config([*arguments, more]), 3, 4)
    inputs = found["augment.placement=device"]
    np.testing.assert_array_equal(apply(inputs.pop("images"), inputs, 8), found["augment.placement=host"])
    assert (found["augment=none"] != found["augment.placement=host"]).numpy().mean() > 0.5


@pytest.mark.slow
def test_a_metric_picks_the_epoch_and_is_in_the_report(here, capsys):
    Path("f1.py").write_text(F1)
    own = ["plugin=[my_worst.py,f1.py]", "dataset=digits", *TINY_SIZE]
    monitors = ["train.checkpoint.monitor=val_f1", "train.early_stopping.monitor=val_worst_class"]
    run = ran(capsys, *own, *SHORT, *monitors, "train.epochs=2")
    rows = history.read(run / "history.csv")
    assert all(set(row) >= {"val_worst_class", "val_f1"} for row in rows)
    report = json.loads((run / "report.json").read_text())
    values = [row["val_f1"] for row in rows]
    assert report["best_epoch"] == values.index(max(values)) + 1
    assert report["validation"]["own"]["f1"] == max(values)
    found = predictions.read(run / "predictions.csv")
    shares = [(found.right[found.labels == label]).mean() for label in range(10)]
    assert report["test"]["own"]["worst_class"] == pytest.approx(min(shares))
    assert report["test"]["own"]["f1"] == pytest.approx(report["test"]["macro_f1"], abs=1e-6)  # scikit-learn's
    assert vit_runs(["compare", str(run), str(run)]) == 0  # which executes nothing
    printed = capsys.readouterr().out
    assert re.search(rf"test worst class +│ +{min(shares):.4f} │ +{min(shares):.4f} │", printed)
    assert re.search(rf"best epoch +│ +{report['best_epoch']} │", printed)
    assert vit_runs(["evaluate", str(run), "--plugin", "my_worst.py", "--plugin", "f1.py"]) == 0
    assert f"{report['test']['own']['f1']:.4f} │" in capsys.readouterr().out
    message = refused(capsys, cli.run, "train.checkpoint.monitor=val_worst_class")
    assert message.startswith("train.checkpoint.monitor=val_worst_class: must be one of val_loss, ")


F1 = """
import vit_train
@vit_train.metric("f1")
def f1(classes):
    import keras
    return keras.metrics.F1Score("macro")
"""
METRIC = "import vit_train\n@vit_train.metric({})\ndef m(classes):\n    import keras\n    return {}\n"
AUGMENT = """
from dataclasses import dataclass
import vit_train
@dataclass(frozen=True, kw_only=True)
class Keys(vit_train.AugmentKeys): ...
@vit_train.augment("a", Keys)
def a(keys, image, seed):
    import tensorflow as tf
    return {}
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (METRIC.format("'accuracy'", 1), "x.py:2: metric=accuracy: is taken; give it another name"),
        (METRIC.format("'a', better='more'", 1), "x.py:2: metric=a: better='more' must be 'higher' or 'lower'"),
        (METRIC.format("'a'", "classes"), "metric=a: its function gives int, not a keras.metrics.Metric"),
        (METRIC.format("'a'", "1 / 0"), "x.py:5: ZeroDivisionError: "),
        (METRIC.format("'a'", "keras.metrics.F1Score()"), "metric=a: its result has the shape (10,), and must be one "),
        (AUGMENT.format("image[1:]"), "augment=a: its function gives Tensor("),
        (AUGMENT.format("tf.cast(image, tf.int32)"), "augment=a: its function gives int32, and must give uint8 or "),
        (AUGMENT.format("image if seed[0] > 0 else 255 - image"), "x.py:9: OperatorNotAllowedInGraphError: "),
        (AUGMENT.format("tf.image.random_flip_left_right(image)"),
         "augment=a: its function has RandomUniform, which gives something else each time; a batch must follow "),
        (AUGMENT.format("tf.numpy_function(lambda x: x, [image], tf.uint8)"),
         "augment=a: its function has PyFunc, which "),
    ],
)  # fmt: skip
def test_what_cannot_vary_or_measure_is_a_sentence(here, capsys, code, message):
    (here / "x.py").write_text(code)
    augment = ["augment=a"] if "augment" in code else []
    assert refused(capsys, cli.run, "plugin=x.py", "dataset=digits", *augment, *TINY_SIZE).startswith(message)
    assert not Path("outputs").exists()


def test_python_has_it_for_one_call(capsys):
    assert vit_train.load_config(MIXER).model.width == 8
    assert ACTIVE.get().files == ()
    with pytest.raises(ConfigError, match=r"^model=my_mixer: must be one of matmul_free, "):
        vit_train.load_config(MIXER[1:])


HOSTILE = """
import pathlib, vit_train
from dataclasses import dataclass
pathlib.Path(__file__).with_name("executed").touch()
@dataclass(frozen=True, kw_only=True)
class Keys(vit_train.ModelKeys):
    pass
@vit_train.model("mine", Keys)
def features(keys, images):
    from keras import layers
    return layers.GlobalAveragePooling2D()(images)
"""


def test_no_command_executes_what_a_run_directory_names(here, capsys):
    """Whatever it is: a finished run, an unfinished one, a sweep."""
    Path("evil.py").write_text(HOSTILE)
    (here / "executed").unlink(missing_ok=True)
    run = ran(capsys, "plugin=evil.py", "dataset=digits", "model=mine", "model.image_size=8", *SHORT)
    executed = here / "executed"
    assert executed.exists()
    executed.unlink()
    inside = Path("evil.py").rename(run / "evil.py")
    for file in (run / "config.yaml", run / "environment.json"):
        file.write_text(file.read_text().replace("evil.py", str(inside)))
    sweep = here / "outputs/2026-01-01/00-00-00.0-sweep"
    job = {"number": 1, "overrides": [f"plugin={inside}", "model=mine"], "varied": {}, "folder": "jobs/1"}
    sweep.mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"overrides": [], "config": None, "keys": [], "jobs": [job]}))
    recipe = here / "conf/experiment/evil.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(f"# @package _global_\nplugin: {inside}\n")
    Image.new("L", (8, 8), 99).save("picture.png")

    def sees(status):
        report = run / "report.json"
        report.write_text(re.sub(r'"status": "\w+"', f'"status": "{status}"', report.read_text()))
        for verb in ("list", "show latest", f"compare {run} {run}"):
            assert vit_runs(verb.split()) == 0, verb
        for verb in (*USES, "recipe latest"):
            assert vit_runs(verb.split()) == 2, verb
        for arguments in (f"resume={run}", f"--config {run}/config.yaml", "experiment=evil"):
            assert cli.run(["--cfg", "job", *arguments.split()]) == 2, arguments
        assert cli.run(["--cfg", "job", "resume=auto"]) == 0
        cli.run(["--help"])

    sees("completed")
    sees("interrupted")
    assert cli.run(["-m", f"sweep.resume={sweep}"]) == 4
    assert cli.run([f"init={run}", "dataset=digits", "model.image_size=8", *SHORT]) == 2
    assert not executed.exists()


def test_a_sweep_hands_it_to_its_jobs_and_keeps_no_name_of_code(here, capsys):
    with plugins.loaded(["my_mixer.py"]):
        sweep = plan.plan([*MIXER[1:], *SHORT, f"outputs={here}"], None)
        assert plugins.arguments()[0] in pool.arguments(sweep, sweep.jobs[0])
    assert "plugin=" not in (sweep.path / "sweep.json").read_text()
    message = refused(capsys, cli.run, "-m", f"sweep.resume={sweep.path}")
    assert message.startswith(f"{sweep.path}: needs code of its own, my_mixer.py, ")


@pytest.mark.slow
def test_the_jobs_of_a_sweep_run_with_it(capsys):
    sweep = ran(capsys, "-m", *MIXER, *SHORT, "train.epochs=1")
    values = json.loads((sweep / "sweep.json").read_text())
    assert [job["state"] for job in values["jobs"]] == ["completed"]
    assert "plugin=" not in json.dumps(values)
    assert ran(capsys, "-m", f"sweep.resume={sweep}", "plugin=my_mixer.py") == sweep


KEYS = """
from dataclasses import dataclass
import vit_train
@dataclass(frozen=True, kw_only=True)
class Keys(vit_train.ModelKeys):
    depth: int = vit_train.key("blocks", default=1, minimum=1)
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "plugin=x.py: cannot be read (No such file or directory)"),
        ("def :", "plugin=x.py: is no Python (x.py:1: invalid syntax"),
        ("\0", "plugin=x.py: is no Python ("),
        ("a = 1\n\nb = a / 0\n", "x.py:3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)", "x.py:2: SystemExit: 0"),
        ("a = 1", "plugin=x.py: registers nothing; docs/plugins.md has what a plugin can be"),
        (f"{KEYS}@vit_train.model('vit', Keys)\ndef f(k, i): ...", "x.py:7: model=vit: is taken; give it another"),
        (f"{KEYS}@vit_train.model('Vit', Keys)\ndef f(k, i): ...", "x.py:7: model=Vit: must be a name of small"),
        (f"{KEYS}@vit_train.dataset('a', Keys)\ndef f(k): ...", "x.py:7: Keys: must be @dataclass(frozen=True, "),
        (f"{KEYS}    width: int = 3\n@vit_train.model('a', Keys)\ndef f(k, i): ...", "x.py:8: Keys.width: is no key; "),
        (f"{KEYS}    width: dict = vit_train.key('a', default=3)\n@vit_train.model('a', Keys)\ndef f(k, i): ...",
         "x.py:8: Keys.width: must be of type int, "),
        (f"{KEYS}@vit_train.model('a', Keys)\ndef f(k, i): ...\n@vit_train.model('a', Keys)\ndef g(k, i): ...",
         "x.py:9: model=a: is taken; give it another name"),
        (f"{KEYS.replace('minimum=1', 'minimum=2')}@vit_train.model('a', Keys)\ndef f(k, i): ...",
         "x.py:7: model.depth=1: must be at least 2"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_a_sentence(here, capsys, code, message):
    if code is not None:
        (here / "x.py").write_text(code)
    assert refused(capsys, cli.run, "--cfg", "job", "plugin=x.py").startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("model.dept=2", "model.dept=2: there is no key model.dept; did you mean model.depth"),
        ("model.depth=none", "model.depth=none: must be a whole number"),
        ("model.depth=0", "model.depth=0: must be at least 1"),
        ("model.heads=2", "model.heads=2: is no key of model=my_mixer; it is one of model=vit"),
    ],
)
def test_its_keys_are_as_strict_as_others(capsys, arguments, message):
    assert refused(capsys, cli.run, *MIXER, arguments).startswith(message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return images", "model=a: its function gives (None, 8, 8, 3), not features (batch, width)"),
        ("return 1", "model=a: its function gives int, not features"),
        ("return images @ 3j", "x.py:9: "),
    ],
)
def test_a_function_that_fails_is_a_sentence(here, capsys, body, message):
    (here / "x.py").write_text(f"{KEYS}@vit_train.model('a', Keys)\ndef f(keys, images):\n    {body}\n")
    arguments = ["plugin=x.py", "model=a", "dataset=digits", "model.image_size=8", *SHORT]
    assert refused(capsys, cli.run, *arguments).startswith(message)
    assert not Path("outputs").exists()


def test_help_has_its_keys(capsys):
    assert cli.run(["--help", "model", "plugin=my_mixer.py"]) == 0
    assert "  model.width = 64\n      a whole number, >= 1: width of a token\n" in capsys.readouterr().out


def test_a_recipe_of_ones_own_may_use_it(here):
    path = here / "conf/experiment/mine.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\ndefaults:\n  - override /model: my_mixer\nmodel:\n  depth: 3\n")
    config = vit_train.load_config(["experiment=mine", "plugin=my_mixer.py"])
    assert config.model.depth == 3
    with plugins.loaded(["my_mixer.py"]):
        assert written_as_recipe(config).splitlines() == [
            "defaults:", "- override /model: my_mixer", "- _self_", "model:", "  depth: 3", "plugin: my_mixer.py"
        ]  # fmt: skip
    assert load_config().model.name == "vit"
