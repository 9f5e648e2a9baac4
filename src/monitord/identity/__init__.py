"""Who is asking: passwords, sessions, API keys, and the principal they amount to."""
