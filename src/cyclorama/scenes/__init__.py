"""The rendered advertising set: parametric products and scenes, exact masks, fictional brands."""
