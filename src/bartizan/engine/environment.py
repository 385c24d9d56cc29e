"""What findings may depend on beside their job: the versions of Python, the platform, bartizan and the libraries of a check."""

from __future__ import annotations

import os
import platform

import bartizan
from bartizan.engine import extras, registry
from bartizan.model.findings import Job


def environment(job: Job) -> dict[str, str]:
    """What the findings of `job` may depend on beside it: versions of Python, platform, bartizan, numpy and the libraries of its check."""
    system = os.uname()
    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "bartizan": bartizan.__version__,
    }
    check = registry.load_all()[0].get(job.check)
    names = ["numpy"]
    if check is not None:
        names += extras.libraries(check.distribution, check.extra) if check.extra else ()
        names += [check.distribution] if check.distribution != "bartizan" else []
    found.update({name.lower(): version for name in names if (version := extras.version(name)) is not None})
    return found
