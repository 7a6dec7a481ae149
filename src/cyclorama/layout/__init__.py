"""Where things stand on a poster: records, grammar, energy, settling, planners and the field's metrics."""
