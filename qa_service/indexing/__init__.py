"""Documents -> a generation of the index, on this machine or on a cluster.

Reading order: :mod:`build`, the inputs of a generation and the loop over files; :mod:`draft`, the way of a document
into it, with a picture; :mod:`reuse`, copies from other indexes; :mod:`vectors`, embedding; :mod:`cluster`, Ray.
"""
