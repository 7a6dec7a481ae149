"""Posters: a product, words and a canvas to a finished advertisement, and the record that makes it again."""
