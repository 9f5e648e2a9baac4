"""The instruments, and the HTTP listener for /metrics, /livez and /readyz."""
