"""The gRPC edge: translation and nothing else."""
