"""Defences against evasion, each measured twice: under an attack that does not know it, and under one that does."""
