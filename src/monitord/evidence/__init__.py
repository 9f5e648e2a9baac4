"""What was to be seen when a site went down: screenshots, taken and kept off the path of checks."""
