"""Fairness: labels that treat groups of people unlike, columns that stand in for a group, and outcomes of a model by group."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "label_bias": "comparing",
        "LabelBias": "comparing",
        "adjusted_gap": "adjusting",
        "mantel_haenszel": "strata",
        "MantelHaenszel": "strata",
        "proxies": "stand_ins",
        "outcomes": "group_rates",
        "Outcomes": "group_rates",
        "by_metric": "metrics",
    },
)
