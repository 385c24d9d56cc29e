"""Attacks that ask for scores or labels alone, batched over rows, with a budget of queries a row that is kept to the last one."""
