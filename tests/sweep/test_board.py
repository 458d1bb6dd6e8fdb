import csv
import json
import re

from vit_train.sweep import board, plan, results


def finished(sweep, ran):
    """Two completed jobs and a failed one with a log."""
    for job, share in zip(sweep.jobs[:2], (0.5, 0.75), strict=True):
        ran(sweep, job, [share], test=share - 0.25)
        job.state, job.result = "completed", results.result(sweep.run(job))
    sweep.log(sweep.jobs[2]).parent.mkdir(parents=True)
    sweep.log(sweep.jobs[2]).write_text("vit-train: <gone>\n")
    sweep.jobs[2].fail(3, "<gone> & lost")
    board.write(sweep)
    return sweep


def test_the_csv_has_every_job_the_best_first(planned, ran):
    sweep = finished(planned("optimizer.groups=[a],['b,c'],[]"), ran)
    rows = list(csv.DictReader((sweep.path / "sweep.csv").read_text().splitlines()))
    assert [(row["number"], row["optimizer.groups"], row["validation_accuracy"]) for row in rows] == [
        ("2", "['b,c']", "0.75"),
        ("1", "[a]", "0.5"),
        ("3", "[]", ""),
    ]
    assert rows[0]["run"] == str(sweep.run(sweep.jobs[1]).path)
    assert (rows[2]["state"], rows[2]["reason"]) == ("failed", "<gone> & lost")
    assert rows[2]["log"] == str(sweep.log(sweep.jobs[2]))


def test_the_json_has_plan_and_results_and_is_still_a_plan(planned, ran):
    sweep = finished(planned("seed=1,2,3"), ran)
    values = json.loads((sweep.path / "sweep.json").read_text())
    assert values["leaderboard"] == [2, 1]
    assert values["spreads"][0]["validation_mean"] == 0.625
    assert plan.load(sweep.path) == sweep


def test_the_page_needs_nothing_else_and_shows_all(planned, ran):
    sweep = finished(planned("seed=1,2,3"), ran)
    run = sweep.run(sweep.jobs[1])
    run.report_html.touch()
    board.write(sweep)
    page = (sweep.path / "sweep.html").read_text()
    assert re.findall(r'(?:src|href)="(?!data:)([^"]*)', page) == [str(run.report_html.relative_to(sweep.path))]
    assert "@media screen and (prefers-color-scheme: dark)" in page
    assert page.count("data:image/svg+xml;base64,") == 2
    for text in ("75.00%", "50.00%", "62.50%", "&lt;gone&gt; &amp; lost", str(sweep.log(sweep.jobs[2]))):
        assert text in page
    assert "<gone>" not in page


def test_a_sweep_without_any_result_has_a_page_too(planned):
    sweep = planned("seed=1,2")
    for job in sweep.jobs:
        job.fail(5, "diverged")
    board.write(sweep)
    assert "Leaderboard" not in (sweep.path / "sweep.html").read_text()


def test_the_terminal_has_table_spread_and_failures(planned, ran, capsys):
    board.show(finished(planned("seed=1,2,3"), ran))
    stdout, stderr = capsys.readouterr()
    lines = [line.split() for line in stdout.splitlines()]
    assert ["2", "2", "75.00%", "50.00%", "2,025", "0:01:01"] in lines
    assert ["2", "62.50%", "17.68%", "37.50%", "17.68%"] in lines
    assert stderr.startswith("vit-train: run 3 (seed=3): <gone> & lost; log: ")


def test_while_it_runs_the_page_says_so_and_is_written_again(planned, ran):
    sweep = planned("seed=1,2,3")
    shown = []
    renew = board.renewed(sweep, lambda: shown.append(1))
    renew()
    assert not (sweep.path / "sweep.html").exists()
    ran(sweep, sweep.jobs[0], [0.5], test=0.5)
    sweep.jobs[0].state, sweep.jobs[0].result = "completed", results.result(sweep.run(sweep.jobs[0]))
    renew()
    text = (sweep.path / "sweep.html").read_text()
    assert 'http-equiv="refresh"' in text
    assert "about 0:02:02 (h:mm:ss) are left" in text
    assert len(shown) == 2
    for job in sweep.jobs:
        job.state = "failed"
    board.write(sweep)
    assert "refresh" not in (sweep.path / "sweep.html").read_text()


def test_columns_are_sorted_by_size(planned, ran):
    page = finished(planned("optimizer.learning_rate=1e-3,0.01,0.1"), ran).path.joinpath("sweep.html").read_text()
    values = re.findall(r'data-value="([^"]*)"', page)
    effect, best, other = values[:5], values[5:11], values[11:]
    assert effect == ["0.01", "0.001", "+25.00", "", "1"]
    assert best == ["2", "0.01", "75.00", "50.00", "2025", "61"]
    assert other == ["1", "0.001", "50.00", "25.00", "2025", "61"]
