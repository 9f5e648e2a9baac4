"""The kinds of check: from messages to the domain and back, one file each."""
