"""How a front is loaded: each class is a kind of load, with a turn of it as `run`.

Every load is bounded in time and count, and answers that are not right end it with `Wrong`.
"""
