"""Settings of all tests: under `CI` the property tests draw the same examples every time; elsewhere they go on searching for new ones."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("search", deadline=None)
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "search")
