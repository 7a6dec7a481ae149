"""Shapes that are more than one primitive, by what they are for."""
