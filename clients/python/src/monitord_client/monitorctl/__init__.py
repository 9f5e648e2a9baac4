"""monitorctl: monitord's command line."""
