"""CPU per request of exoproxy beside nginx as an Exosphere deployment configures it."""
