"""The language of category files: YAML entries, expressions, rows, words."""
