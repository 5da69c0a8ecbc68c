"""Documents -> a generation of the index, on this machine or on a cluster.

Reading order: :mod:`build`, what a generation is made from and the loop over files; :mod:`draft`, a document's way
into the generation, with a picture; :mod:`reuse`, what is copied instead; :mod:`vectors`, embedding; :mod:`cluster`.
"""
