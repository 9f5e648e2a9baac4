"""Each figure that the README claims, with the command that reproduces it: ``make bench``."""
