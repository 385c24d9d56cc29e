"""Checks of who may write the files of data sets and models."""
