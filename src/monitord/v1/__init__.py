"""Generated from proto/monitord/v1; never edited (`make proto`)."""
