"""The listener for jobs that tell of themselves."""
