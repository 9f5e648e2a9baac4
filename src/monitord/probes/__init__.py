"""One file per kind of check; the only place that dials targets."""
