"""Late interaction: the model's own token vectors, kept small, and the MaxSim of a question with them.

A passage's tokens are stored in 64 bytes each. The vector is moved by the mean of all and projected onto
the 128 directions in which tokens vary most (principal components), within which a random rotation makes
all components alike and near normal; each is rounded to the nearest of sixteen levels, at the distance
that Max (1960) showed to lose least for a normal distribution. Two more bytes hold the length of what is
read back, which is scaled to 1, and four the token's id.

MaxSim (Khattab and Zaharia, 2020, arXiv 2004.12832): each token of the question looks for its best match
among the passage's tokens; here their cosines are averaged, weighted by how rare the token is.
"""

from qa_service.index.tokens.builder import MAX_PASSAGE_BYTES, PassageTokensBuilder
from qa_service.index.tokens.codec import Codec
from qa_service.index.tokens.tokens import FILES, STARTS, PassageTokens, Similarities, token_weights

__all__ = [
    "FILES",
    "MAX_PASSAGE_BYTES",
    "STARTS",
    "Codec",
    "PassageTokens",
    "PassageTokensBuilder",
    "Similarities",
    "token_weights",
]
