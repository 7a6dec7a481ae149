"""Rooms of the eraser: the bundled LaMa, which fills what is taken out of an image."""
