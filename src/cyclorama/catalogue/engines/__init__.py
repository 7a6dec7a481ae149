"""Where shards are worked on: processes of this machine, or a cluster."""

from cyclorama.catalogue.engines.choice import build_engine as build_engine
