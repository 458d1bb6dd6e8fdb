import math

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from vit_train.errors import ConfigError
from vit_train.sweep import plan, ranking
from vit_train.sweep.search import Bayesian, space

RATE = "optimizer.learning_rate=tag(log,interval(1e-4,1e-1))"


@pytest.fixture
def searching(planned):
    """Begins a search, over the learning rate unless told otherwise: gives the sweep and the search."""

    def begin(*overrides, trials=20):
        sweep = planned(*(overrides or [RATE]), trials=trials)
        return sweep, Bayesian(sweep)

    return begin


def complete(sweep, job, accuracy):
    job.state, job.result = "completed", {"validation_accuracy": accuracy}


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("interval(0,0.3)", FloatDistribution(0, 0.3)),
        ("tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("int(interval(1,8))", IntDistribution(1, 8)),
        ("tag(log,int(interval(1,8)))", IntDistribution(1, 8, log=True)),
        ("range(1,8)", IntDistribution(1, 7)),
        ("range(8,1,-2)", IntDistribution(2, 8, step=2)),
        ("range(0,0.5,0.25)", CategoricalDistribution(["0.0", "0.25"])),
        ("3,[4,8]", CategoricalDistribution(["3", "[4,8]"])),
    ],
)
def test_hydras_grammar_gives_the_space(text, distribution):
    assert space(["seed=1", f"model.x={text}"]) == {"model.x": distribution}


def test_options_of_a_group_are_searched():
    options = ["auto_cifar", "basic", "crop", "none", "rand", "trivial"]
    assert space(["augment=glob(*)"]) == {"augment": CategoricalDistribution(options)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed=interval(2,1)", "seed=interval.2,1.: cannot be searched: "),
        ("model.dropout=tag(log,interval(0,1))", "cannot be searched: "),
        ("seed=range(1,1)", "stands for no value at all"),
    ],
)
def test_what_cannot_be_searched_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        space([text])


def test_it_begins_with_the_recipe_as_it_is(searching):
    sweep, search = searching(RATE, "model.depth=range(1,4)")
    assert [job.varied for job in sweep.jobs] == [{"optimizer.learning_rate": "0.001", "model.depth": "1"}]
    second = search.next_job()
    assert (second.number, second.state, second.folder[:6]) == (2, "waiting", "jobs/0")
    assert 1e-4 <= float(second.varied["optimizer.learning_rate"]) <= 1e-1


def test_of_a_group_it_has_no_beginning(searching):
    sweep, search = searching("augment=none,basic", "train.epochs=1,2", trials=2)
    assert sweep.jobs == []
    while job := search.next_job():
        complete(sweep, job, 0.5)
    assert {job.varied["augment"] for job in sweep.jobs} <= {"none", "basic"}
    assert ranking.search_summary(sweep) == "0 of 2 runs were stopped as hopeless."


@pytest.mark.slow
def test_it_finds_the_maximum_better_than_chance_would(searching):
    sweep, search = searching(trials=24)
    complete(sweep, sweep.jobs[0], 0.1)
    while job := search.next_job():
        away = abs(math.log10(float(job.varied["optimizer.learning_rate"])) + 1.5)
        complete(sweep, job, max(0.2, 1 - away))
    rates = [float(job.varied["optimizer.learning_rate"]) for job in sweep.jobs]
    near = [10**-1.75 < rate < 10**-1.25 for rate in rates]
    assert len(set(rates)) == 24
    assert sum(near[10:]) >= 6  # of 14, a sixth of which would be there by chance
    assert ranking.search_summary(sweep).startswith("0 of 24 runs were stopped as hopeless; on validation, run ")


def test_after_a_kill_it_goes_on_as_if_there_had_been_none(searching):
    sweep, search = searching()
    for _ in range(3):
        complete(sweep, sweep.jobs[-1], 0.5)
        search.next_job()
    sweep.save()
    again = plan.load(sweep.path)
    assert again == sweep
    assert Bayesian(again).next_job() == search.next_job()


def test_wrong_settings_count_as_failed_runs_and_it_goes_on(searching):
    sweep, search = searching("model.patch_size=3,4", trials=4)
    while job := search.next_job():
        complete(sweep, job, 0.5)
    assert {job.varied["model.patch_size"]: job.state for job in sweep.jobs} == {"4": "completed", "3": "failed"}


def test_a_job_in_the_worst_quarter_is_hopeless_after_a_quarter_of_its_epochs(searching, ran):
    sweep, search = searching(RATE, "train.epochs=8")
    for accuracy in (0.5, 0.6, 0.7, 0.8, 0.9):
        job = sweep.jobs[-1]
        ran(sweep, job, [accuracy / 2, accuracy], test=accuracy)
        complete(sweep, job, accuracy)
        search.next_job()
    verdicts = []
    for accuracies in ([], [0.1], [0.1, 0.59], [0.1, 0.61]):
        if accuracies:
            ran(sweep, sweep.jobs[-1], accuracies)
        verdicts.append(search.hopeless(sweep.jobs[-1]))
        search = Bayesian(sweep)
    assert verdicts == [False, False, True, False]
    sweep.prune = False
    ran(sweep, sweep.jobs[-1], [0.1, 0.1])
    assert not search.hopeless(sweep.jobs[-1])


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1"], "sweep.trials=20: there is nothing to search"),
        (["model.depht=1,2"], "there is no key model.depht; did you mean model.depth"),
        (["model.dropout=interval(2,3)", "model.depth=x"], "model.depth=x"),
    ],
)
def test_a_search_that_cannot_begin_makes_nothing(searching, tmp_path, overrides, message):
    with pytest.raises(ConfigError, match=message):
        searching(*overrides)
    assert not list(tmp_path.iterdir())
