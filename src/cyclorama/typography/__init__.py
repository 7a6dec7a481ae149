"""Text on images: exact glyphs in a box, as pixels and as outlines, with the proof of their spelling."""
