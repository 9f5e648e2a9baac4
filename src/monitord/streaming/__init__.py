"""Wakes the readers of the log after each commit."""
