"""Training: one loop for every stage."""
