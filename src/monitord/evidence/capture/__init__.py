"""Ways to take a screenshot."""
