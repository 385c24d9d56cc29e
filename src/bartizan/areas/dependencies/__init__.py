"""What the system is built from and by: packages, their weaknesses and imitators, and the code that trains."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {"packages_in": "inventory", "judge": "vulnerabilities", "suspects": "typosquats", "lint": "training_code.lint"},
)
