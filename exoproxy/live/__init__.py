"""Does the world answer as the configuration expects, for `exoproxy check --live`.

`doctor` says in what order things are tried, the modules beside it try one concern each, and
`network` is all that they see of the world, so that tests hand in another one. Nothing here serves.
"""
