"""What allowed Keystones have named in their catalogues, and the file that outlives a restart.

`main` asks it and lets it read answers to logins; the serving process opens and closes it.
"""
