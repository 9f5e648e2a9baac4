"""What `monitord run` shows to the person who started it: a live table in a terminal, else one line per check."""
