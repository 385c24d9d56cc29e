"""Numeric methods that two areas share, one subject a file."""
