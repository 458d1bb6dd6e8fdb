"""sweep.html: one file with everything in it, that needs no network."""

import base64
import shlex

import jinja2

from vit_train.sweep import figures
from vit_train.sweep.plan import Job, Sweep
from vit_train.sweep.ranking import (
    FOLDS_NOTE,
    job_table,
    ranked,
    search_summary,
    spread_table,
    spreads,
    unfinished,
    why,
)
from vit_train.text import for_html


def render(sweep: Sweep) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vit_train", "sweep"),
        autoescape=True,
        finalize=for_html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jobs, found = ranked(sweep), spreads(sweep)
    pictures = figures.draw(sweep.keys, jobs) if jobs and sweep.keys else []
    config = ["--config", sweep.config] if sweep.config else []
    trials = [f"sweep.trials={sweep.trials}"] if sweep.trials else []
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
        unfinished=unfinished(sweep),
        why=lambda job: why(sweep, job),
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


def _link(sweep: Sweep, job: Job) -> str | None:
    """The page of a job's run, as seen from this one; so the sweep's folder can be moved."""
    run = sweep.run(job)
    return str(run.report_html.relative_to(sweep.path)) if run and run.report_html.exists() else None
