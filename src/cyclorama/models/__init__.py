"""The base, the two generators, their pipeline and their files: the border to diffusers."""
