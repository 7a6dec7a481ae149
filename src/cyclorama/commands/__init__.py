"""The sub-commands, one file each; heavy imports happen inside `run`."""
