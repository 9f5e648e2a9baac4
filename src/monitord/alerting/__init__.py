"""Alerts: from the outbox to the people."""
