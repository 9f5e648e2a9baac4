"""Time, ownership and cancellation: the actors, their supervisor, and what keeps them in step with the store."""
