"""Training data: manifests, shards, published sets, examples, perturbation."""
