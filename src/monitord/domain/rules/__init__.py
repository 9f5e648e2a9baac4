"""What a monitor may be: one file for what all monitors have in common, and one for each kind of check."""
