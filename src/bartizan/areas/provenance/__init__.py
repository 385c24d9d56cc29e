"""Where data and models come from, and whether they are still what was declared."""
