"""Late interaction: compressed token vectors of the passages, and MaxSim of a question with them.

A token vector takes 32 bytes. It is centred and projected onto the 128 principal components of all tokens; a random
rotation makes the components equally and almost normally distributed. Each component is rounded to the nearest of
four levels, at the distance that Max (1960) showed to be optimal for a normal distribution. Two more bytes hold the
norm of the decoded vector, by which cosines are scaled, and two the token's id (four, if the vocabulary is large).

MaxSim (Khattab and Zaharia, 2020, arXiv 2004.12832): each token of the question is matched with its most similar token
of the passage. Their cosines are averaged, weighted by the tokens' idf.
"""

from qa_service.index.tokens.builder import MAX_PASSAGE_BYTES, PackedTokens, PassageTokensBuilder
from qa_service.index.tokens.codec import Codec
from qa_service.index.tokens.tokens import FILES, STARTS, PassageTokens, Similarities, token_weights

__all__ = [
    "FILES",
    "MAX_PASSAGE_BYTES",
    "STARTS",
    "Codec",
    "PackedTokens",
    "PassageTokens",
    "PassageTokensBuilder",
    "Similarities",
    "token_weights",
]
