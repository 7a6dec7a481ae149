"""Metrics of generated advertising pictures; reads files and arrays, never this package's generators."""
