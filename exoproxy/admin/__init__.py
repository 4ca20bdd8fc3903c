"""The admin site: the running process's state as a page, as JSON and as metrics."""
