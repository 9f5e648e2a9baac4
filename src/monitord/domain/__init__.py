"""Values and pure functions: no await, no I/O, no clock, no randomness."""
