"""The surface for Python, as in a notebook."""

import re
import signal
from pathlib import Path

import pytest

import vit_train
from vit_train.errors import ConfigError

README = Path(__file__).resolve().parents[1] / "README.md"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def test_the_example_of_the_readme(eagerly, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    handlers = [signal.getsignal(number) for number in SIGNALS]
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "train.epochs=3" in example
    names = {}
    exec(
        example.replace(
            '"train.epochs=3"', '"debug=fast", "model.depth=1", "model.image_size=8", "model.patch_size=4"'
        ),
        names,
    )
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    first, *_, last = capsys.readouterr().out.splitlines()
    (run,) = tmp_path.glob("outputs/*/*")
    assert first.endswith(f"of the test images; all else is in {run.relative_to(tmp_path)}")
    assert last.split()[0] in names["run"].class_names == tuple("0123456789")
    assert (run / "figures" / "attention.png").is_file()
    assert '"command": "vit_train.train([' in (run / "environment.json").read_text()


def test_a_mistake_is_an_exception_with_the_sentence_of_the_command():
    with pytest.raises(ConfigError, match=r"^model.depht=3: there is no key model.depht; did you mean model.depth"):
        vit_train.train(["model.depht=3"])
    with pytest.raises(ConfigError, match=r"absent.yaml"):
        vit_train.load_config(config="absent.yaml")


def test_the_config_is_that_of_the_command():
    assert vit_train.load_config(["dataset=digits", "model.depth=2"]).model.depth == 2


def test_no_module_takes_the_name_of_the_function():
    import vit_train.run

    assert callable(vit_train.train)
    assert not (Path(vit_train.__file__).parent / "train.py").exists()
