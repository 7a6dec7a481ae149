"""A whole catalogue: a manifest planned into shards, each worked on, retried and resumed by itself."""
