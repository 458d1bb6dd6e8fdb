"""sweep.html: one file with everything in it, that needs no network."""

import base64
import math
import re
import shlex

import jinja2

from vit_train.console import duration
from vit_train.sweep import figures
from vit_train.sweep.effects import effect_table, effects
from vit_train.sweep.plan import Job, Sweep
from vit_train.sweep.ranking import (
    FOLDS_NOTE,
    REPEATED,
    job_table,
    ranked,
    search_summary,
    spread_table,
    spreads,
    unfinished,
    why,
)
from vit_train.sweep.results import seconds_left
from vit_train.text import for_html


def render(sweep: Sweep, running: bool = False) -> str:
    """The page as HTML; while the sweep is `running` it says how long it takes, and loads itself again."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader("vit_train", room) for room in ("sweep", "report")]),
        autoescape=True,
        finalize=for_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jobs, found = ranked(sweep), spreads(sweep)
    keys = [key for key in sweep.keys if key != "dataset.fold"]  # whose number says nothing
    pictures = figures.draw(keys, jobs) if jobs and keys else []
    config = ["--config", sweep.config] if sweep.config else []
    trials = [f"sweep.trials={sweep.trials}"] if sweep.trials else []
    environment.filters |= {"size": _size, "duration": duration}
    differences = effects(sweep)
    return environment.get_template("sweep.html.j2").render(
        command=shlex.join(["vit-train", "-m", *config, *trials, *sweep.overrides]),
        sweep=sweep,
        summary=search_summary(sweep),
        jobs=job_table(sweep.keys, jobs),
        title=_title(sweep),
        folds=FOLDS_NOTE if "dataset.fold" in sweep.keys else "",
        spreads=spread_table(found) if found else None,
        text_columns=len(found[0].varied) if found else 0,
        links=[_link(sweep, job) for job in jobs],
        unfinished=[job for job in unfinished(sweep) if not (running and job.state in ("running", "waiting"))],
        why=lambda job: why(sweep, job),
        effects=effect_table(differences) if differences else None,
        varied=[key for key in sweep.keys if key not in REPEATED] or keys,
        running=running,
        left=seconds_left(sweep),
        pictures=[base64.b64encode(picture.encode()).decode() for picture in pictures],
    )


def _title(sweep: Sweep) -> str:
    """What came out, in a line: of folds alone their mean, else the best run."""
    jobs, found = ranked(sweep), spreads(sweep)
    text = f"{len(sweep.jobs)} runs"
    if not jobs:
        return text
    if "dataset.fold" in sweep.keys and len(found) == 1:
        half = found[0].validation_interval
        return f"{text}, {found[0].validation_mean:.2%}{f' ± {half:.2%}' if half else ''} on validation on average"
    return f"{text}, the best with {jobs[0].result['validation_accuracy']:.2%} on validation"


def _size(text: str) -> str:
    """What a column of numbers is sorted by: `12.3%`, `1,234` and `0:01:02` as plain numbers, what is none as ""."""
    if re.fullmatch(r"\d+:\d\d:\d\d", text):
        hours, minutes, seconds = map(int, text.split(":"))
        return str(3600 * hours + 60 * minutes + seconds)
    plain = text.removesuffix("%").replace(",", "")
    try:
        return plain if math.isfinite(float(plain)) else ""
    except ValueError:
        return ""


def _link(sweep: Sweep, job: Job) -> str | None:
    """The page of a job's run, as seen from this one; so the sweep's folder can be moved."""
    run = sweep.run(job)
    return str(run.report_html.relative_to(sweep.path)) if run and run.report_html.exists() else None
