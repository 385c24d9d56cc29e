"""Derives from the files of a package, installed or a wheel, which of its names a pickle may use and how: a policy, signed and pinned.

`sources` finds files, `modules` resolves names, `bodies` and `reaching` say what a function leads to, `shapes` and `tampering` what
classes are, `importing` what an import does; `uses` decides, `compiling` writes it down, `signed` seals it, `changes` compares two. No code
of the package is imported or run.
"""

from bartizan.areas.artefacts.policy_compiler.compiling import compile_policy
from bartizan.areas.artefacts.policy_compiler.sources import Environment

__all__ = ["Environment", "compile_policy"]
