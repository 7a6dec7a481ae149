"""Work in shards: a job of any room, an engine, a journal, a stop signal. Knows no image and no model."""
