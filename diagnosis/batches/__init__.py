"""Many files arrive together, and each of them ends as exactly one outcome: `docs/batches.md` tells the whole story.

`opening`: a batch and the laboratory's rules. `arriving`: bytes, piece by piece. `settling`: a whole file becomes an
outcome. `zips`, `matching`, `manifest`: what is in a file, and whose it is. `tray`: what found no case. `progress`:
how far it all is. `outcomes`: each file, with how far its reading is.
"""
