"""Places where screenshots are kept."""
