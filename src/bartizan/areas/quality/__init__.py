"""Quality of data: leakage between splits, and what else makes a measured score untrue."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(__name__, {"find_leakage": "bartizan.methods.row_overlap", "Leakage": "bartizan.methods.row_overlap"})
