"""Releases of the Exosphere client: fetched, built, checked, laid down and switched.

Nothing of it belongs to the serving process, which follows the link `current` and knows no more.
"""
