"""Experiments: methods, seeds and a held-out set in, a table in the paper's layout out."""
