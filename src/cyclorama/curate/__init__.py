"""Raw advertising images to a training set, one rule per file."""
