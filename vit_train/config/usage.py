"""`vit-train --help`: what people need first, which takes nothing but the names of files."""

import textwrap

from vit_train.config.groups import groups

_HEAD = """\
vit-train trains Vision Transformers: vit-train [GROUP=OPTION | KEY=VALUE ...]

  vit-train experiment=quickstart               a first run: half a minute
  vit-train dataset=cifar100 model.depth=8      the keras.io reference
  vit-train dataset=folder dataset.root=PATH    your pictures: PATH/CLASS/*
  vit-train experiment=finetune init=RUN ...    from weights trained already
  vit-train resume=auto ...                     continue the newest such run
  vit-train --config RUN/config.yaml ...        train as an earlier run did
  vit-train -m model.depth=4,8 seed=1,2 ...     a sweep: each combination
  vit-train -m sweep.trials=9 KEY=interval(A,B) ...     a search
  vit-train plugin=FILE model=NAME ...          a model of your own, in Python
  vit-train --cfg job ...                       print the config and stop
  vit-train --help model | train.epochs | all   a group, a key, all keys

"""


def first_page() -> str:
    """What people need first, on one screen: usage, and the groups with their options."""
    choices = {group: options for group, options in groups().items() if len(options) > 1}
    lines = [
        textwrap.fill(", ".join(options), 80, initial_indent=f"  {group:<12}", subsequent_indent=" " * 14)
        for group, options in choices.items()
    ]
    keys = ", ".join(group for group in groups() if group not in choices)
    last = f"Keys alone are in {keys}. Options of your own: conf/GROUP/NAME.yaml, --config-dir."
    return f"{_HEAD}Groups\n" + "\n".join([*lines, "", textwrap.fill(last, 80), ""])
