"""Model formats that are no pickles, read without their frameworks: what in them makes a loader run code or reach outside."""
