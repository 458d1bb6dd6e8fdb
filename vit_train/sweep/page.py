"""sweep.html: one file with everything in it, that needs no network."""

import base64
import shlex

import jinja2

from vit_train.sweep import figures
from vit_train.sweep.plan import Job, Sweep
from vit_train.sweep.ranking import job_table, ranked, search_summary, spread_table, spreads, unfinished, why
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
        best=jobs[0] if jobs else None,
        summary=search_summary(sweep),
        jobs=job_table(sweep.keys, jobs),
        spreads=spread_table(found) if found else None,
        links=[_link(sweep, job) for job in jobs],
        unfinished=unfinished(sweep),
        why=lambda job: why(sweep, job),
        pictures=[base64.b64encode(picture.encode()).decode() for picture in pictures],
    )


def _link(sweep: Sweep, job: Job) -> str | None:
    """The page of a job's run, as seen from this one; so the sweep's folder can be moved."""
    run = sweep.run(job)
    return str(run.report_html.relative_to(sweep.path)) if run and run.report_html.exists() else None
