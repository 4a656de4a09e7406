"""The gate: proxy, tee, upstreams, error answers; the composition of both processes; the command line."""
