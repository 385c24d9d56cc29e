"""bartizan: declare an AI system, derive its threats, attack and inspect it, keep signed evidence, know the residual risk."""

__version__ = "0.1.0"
