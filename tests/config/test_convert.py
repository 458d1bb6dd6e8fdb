import dataclasses
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vit_train.config.compose import load_config
from vit_train.config.convert import convert, describe, key, keys_of, show, values_of
from vit_train.config.schema import Config
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = key("a rate", minimum=0, below=1)
    sizes: tuple[int, ...] = key("sizes", minimum=1)


@dataclass(frozen=True, kw_only=True)
class Outer:
    count: int = key("a count", minimum=1)
    flag: bool = key("a flag")
    place: float | Literal["last"] = key("a place", above=0, below=1)
    limit: int | None = key("a limit", minimum=1)
    inner: Inner


@dataclass(frozen=True, kw_only=True)
class Square:
    name: Literal["square"] = key("the shape")
    side: float = key("a side", above=0)


@dataclass(frozen=True, kw_only=True)
class Circle:
    name: Literal["circle"] = key("the shape")
    radius: float = key("a radius", above=0)


@dataclass(frozen=True, kw_only=True)
class Drawing:
    shape: Square | Circle


GOOD = {"count": 3, "flag": True, "place": "last", "limit": None, "inner": {"rate": 0.5, "sizes": [1, 2]}}


def with_value(name, value):
    values = {**GOOD, "inner": dict(GOOD["inner"])}
    (values["inner"] if name.startswith("inner.") else values)[name.removeprefix("inner.")] = value
    return values


def test_good_values_arrive_with_their_types():
    outer = convert(Outer, GOOD)
    assert outer == Outer(count=3, flag=True, place="last", limit=None, inner=Inner(rate=0.5, sizes=(1, 2)))
    assert isinstance(convert(Outer, with_value("inner.rate", 0)).inner.rate, float)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 2.5, "count=2.5: must be a whole number"),
        ("count", "3", "count=3: must be a whole number"),
        ("count", True, "count=true: must be a whole number"),
        ("count", 0, "count=0: must be at least 1"),
        ("flag", 1, "flag=1: must be true or false"),
        ("flag", "yes", "flag=yes: must be true or false"),
        ("place", "lst", "place=lst: must be a number or last; did you mean last"),
        ("place", 1, "place=1: must be above 0 and below 1"),
        ("place", float("nan"), "place=nan: must be a number or last"),
        ("limit", 0, "limit=0: must be at least 1"),
        ("inner.rate", 1.0, "inner.rate=1: must be at least 0 and below 1"),
        ("inner.rate", float("inf"), "inner.rate=inf: must be a number"),
        ("inner.sizes", 5, "inner.sizes=5: must be a list [...] of whole numbers"),
        ("inner.sizes", [1, 0], "inner.sizes=[1,0]: must be at least 1"),
        ("inner.sizes", [1, "x"], "inner.sizes=[1,x]: must be a list [...] of whole numbers"),
        (
            "inner.rat",
            1,
            "inner.rat: there is no key inner.rat; did you mean inner.rate; vit-train --help all lists all keys",
        ),
        ("inner", 3, "inner=3: is a section; set one of its keys, such as inner.rate"),
    ],
)
def test_each_mistake_is_one_sentence(name, value, message):
    with pytest.raises(ConfigError) as error:
        convert(Outer, with_value(name, value))
    assert str(error.value) == message


def test_a_text_that_config_yaml_cannot_hold_is_refused():
    """Such as a path in Latin-1, which the run's own config.yaml could not be read with."""
    with pytest.raises(ConfigError, match=r"^outputs=/Mü\\udcff: is not UTF-8, as config.yaml is; give"):
        load_config(["outputs=/Mü\udcff"])


def test_a_missing_key_is_named():
    values = {name: value for name, value in GOOD.items() if name != "count"}
    with pytest.raises(ConfigError, match=r"^count: is missing"):
        convert(Outer, values)


def test_a_section_is_the_variant_that_its_name_says():
    assert convert(Drawing, {"shape": {"name": "circle", "radius": 2}}) == Drawing(
        shape=Circle(name="circle", radius=2.0)
    )
    assert [name for name, _, _ in keys_of(Drawing)] == ["shape.name", "shape.side", "shape.radius"]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"name": "cirle", "radius": 2}, "shape.name=cirle: must be one of square, circle; did you mean circle"),
        ({"name": ["circle"]}, "shape.name=[circle]: must be one of square, circle; did you mean circle"),
        ({"radius": 2}, "shape.name: is missing; every key needs a value"),
        ({"name": "circle"}, "shape.radius: is missing; every key needs a value"),
        (3, "shape=3: is a section; set one of its keys, such as shape.name"),
        (
            {"name": "circle", "radius": 2, "side": 1},
            "shape.side=1: is no key of shape=circle; it is one of shape=square; vit-train --help all lists all keys",
        ),
        (
            {"name": "circle", "radus": 2},
            "shape.radus=2: is no key of shape=circle; did you mean shape.radius; vit-train --help all lists all keys",
        ),
    ],
)
def test_each_mistake_with_a_variant_is_one_sentence(shape, message):
    with pytest.raises(ConfigError) as error:
        convert(Drawing, {"shape": shape})
    assert str(error.value) == message


any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([*GOOD, "inner.rate", "inner.sizes"]), any_value)
def test_any_value_is_taken_as_it_is_or_refused_in_one_line(name, value):
    try:
        outer = convert(Outer, with_value(name, value))
    except ConfigError as error:
        assert name in str(error)
        assert "\n" not in str(error).replace(str(value), "")
    else:
        assert convert(Outer, dataclasses.asdict(outer)) == outer


def test_types_in_words():
    assert describe(int | None) == "a whole number or null"
    assert describe(tuple[str, ...]) == "a list [...] of texts"
    assert describe(Literal["a", "b"]) == "one of a, b"


def test_values_as_typed():
    assert [show(v) for v in (None, True, 1e-4, [1, 2], "x")] == ["null", "true", "0.0001", "[1,2]", "x"]
    assert show(["a\n", "\x1b"]) == r"[a\n,\x1b]"


def test_any_value_at_the_top_is_refused_in_one_line():
    with pytest.raises(ConfigError):
        convert(Config, {"dataset": None})


def test_values_are_found_under_their_keys():
    config = load_config(["model.depth=3", "train.early_stopping.patience=2", "schedule.warmup=7"])
    values = values_of(config)
    # Of other models, heads and optimizers.
    others = {"model.export_ternary", "optimizer.momentum", "optimizer.nesterov"}
    others |= {"head.l2", "head.neighbours", "head.temperature"}
    assert list(values) == [name for name, _, _ in keys_of(Config) if name not in others]
    assert (values["model.depth"], values["train.early_stopping.patience"]) == (3, 2)
    assert str(values["schedule.warmup"]) == "7 steps"
