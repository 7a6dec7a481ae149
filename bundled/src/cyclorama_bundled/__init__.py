"""Weights of cyclorama that torch runs: ``model/``, ``features/``, ``lama/``; data, no code."""
