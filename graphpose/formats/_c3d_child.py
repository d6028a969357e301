"""The process that ezc3d runs in: reads the C3D files that it is told, and outlives none of their crashes.

Run as a script, with neither graphpose nor torch. A line of stdin is a JSON pair [file, draft]; for each the arrays `points`,
`residuals` and `parameters` (JSON) are saved to the draft, and a line of JSON says what went wrong, or null.
"""

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose modules are called like formats

import contextlib
import json
import os
from typing import Any, TextIO

GROUPS = ("POINT", "GRAPHPOSE")


def _plain(value: Any) -> list[Any]:
    values = value.ravel().tolist() if hasattr(value, "tolist") else list(value)
    return [one if isinstance(one, (int, float)) else str(one) for one in values]


def _read(path: str, draft: str) -> None:
    import ezc3d
    import numpy as np

    content = ezc3d.c3d(path)
    parameters = {
        group: {
            name: {"value": _plain(entry["value"])}
            for name, entry in content["parameters"][group].items()
            if isinstance(entry, dict) and "value" in entry
        }
        for group in GROUPS
        if group in content["parameters"]
    }
    with open(draft, "wb") as file:
        np.savez(
            file,
            points=np.asarray(content["data"]["points"], dtype=np.float64),
            residuals=np.asarray(content["data"]["meta_points"]["residuals"], dtype=np.float64),
            parameters=np.array(json.dumps(parameters)),
        )


def _serve(answers: TextIO) -> None:
    for line in sys.stdin:
        fault = None
        try:
            _read(*json.loads(line))
        except Exception as error:  # damaged bytes make its C++ code raise errors of many unrelated classes
            fault = str(error).removesuffix(": iostream error").strip() or type(error).__name__
        answers.write(json.dumps(fault) + "\n")
        answers.flush()


if __name__ == "__main__":
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever C++ prints is no answer
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _serve(own)
