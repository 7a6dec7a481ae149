"""Planted sets: images with known faults, to measure the curating rules."""
