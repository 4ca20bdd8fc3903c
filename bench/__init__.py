"""exoproxy beside what an operator would run instead: CPU, time and memory, taking turns.

`stage` is what all share (files, certificate, addresses), `upstreams` what stands behind, `fronts`
who is measured, `scenarios` what with, `load` how. `check` judges answers, `measure` takes turns,
`results` and `plot` tell of it. Nothing here leaves loopback.
"""
