"""The manifest `bartizan.yaml`: read into a `System`, written from one, and described to editors.

Every error is one line with file and line. What is not said stays None: unknown, never "no".
"""

from bartizan.manifest.reading import FILE_NAME, load, parse
from bartizan.manifest.schema_of import schema
from bartizan.manifest.writing import dump

__all__ = ["FILE_NAME", "dump", "load", "parse", "schema"]
