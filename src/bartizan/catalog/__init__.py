"""Threats, controls, frameworks and crosswalks as data files, and the loader that validates them."""
