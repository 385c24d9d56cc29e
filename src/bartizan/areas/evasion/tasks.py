"""What models are fed: pictures, rows of numbers and words, texts."""

from __future__ import annotations

from bartizan.model.system import Task

PICTURES = frozenset({Task.IMAGE_CLASSIFICATION, Task.BIOMETRIC})

NO_ROWS = frozenset({Task.TEXT_CLASSIFICATION, Task.TEXT_GENERATION, Task.IMAGE_GENERATION, Task.EMBEDDING, Task.REINFORCEMENT_LEARNING})
"""Tasks whose inputs are no rows of numbers and words."""
