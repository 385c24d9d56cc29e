"""Who may read, keep and use data, for what and for how long."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "open": "reading",
        "Reader": "reading",
        "Limits": "queries",
        "Expiry": "retention",
        "minimise": "minimisation",
        "Minimised": "column_needs",
        "Watch": "retraining",
    },
)
