"""Generated from the protos of package monitord.v1; never edited."""
