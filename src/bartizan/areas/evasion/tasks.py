"""Which tasks of models are about pictures."""

from __future__ import annotations

from bartizan.model.system import Task

PICTURES = frozenset({Task.IMAGE_CLASSIFICATION, Task.BIOMETRIC})
