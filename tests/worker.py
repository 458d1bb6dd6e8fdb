"""Runs pieces of code one after the other, in one process for each backend: loading it costs more than most of them.

A line of JSON {"code", "arguments"} on stdin is answered by one on stdout: null, or the traceback of what went wrong.
"""

import json
import sys
import traceback


def run(code: str, arguments: list[str]) -> str | None:
    sys.argv[1:] = arguments
    if "keras" in sys.modules:
        sys.modules["keras"].utils.clear_session()
    try:
        exec(compile(code, "<code of a test>", "exec"), {"__name__": "__main__"})
    except BaseException:
        return traceback.format_exc()
    return None


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what the code prints is no answer
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
