"""Model files: what they are by content, whether loading them runs code, and who loads them."""
