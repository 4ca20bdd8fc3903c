"""The Exosphere client's files: resolved, kept in memory, served."""
