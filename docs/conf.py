"""Sphinx configuration. The reference is generated from the code on every build, so that it cannot lie."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import generate

import bartizan

project = "bartizan"
author = "The bartizan authors"
copyright = "The bartizan authors, Apache-2.0"
release = bartizan.__version__
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "bartizan"
html_static_path = []
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

generate.write(Path(__file__).parent / "reference" / "generated")
