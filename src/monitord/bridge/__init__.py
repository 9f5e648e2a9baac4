"""The Connect protocol for browsers and curl, spoken on the HTTP listener and passed on to the gRPC server."""
