"""Quality of data: leakage between splits, and what else makes a measured score untrue."""
