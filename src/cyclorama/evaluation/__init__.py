"""Metrics of generated advertising images; reads files and arrays, never this package's generators."""
