"""Objective and sampling; this room knows a callable, never a model."""
