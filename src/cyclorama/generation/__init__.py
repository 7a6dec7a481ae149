"""From inputs to an output folder: what ``generate`` and ``demo`` are made of."""
