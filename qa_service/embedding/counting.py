"""Counts the tokens of texts, word by word where a tokenizer allows that: most words were counted before."""

from collections.abc import Sequence
from typing import Any

_MAX_WORDS = 200_000
"""From this size on, some 20 MB, the cache of words is emptied."""
_SEPARATORS = (" ", "\n")


class TokenCounter:
    """Counts tokens with a ``tokenizers.Tokenizer`` that does not truncate.

    BERT's tokenizer treats words independently, so a text has the tokens of its words. Others may join a space with the
    word behind it, and get the whole text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        kinds = [type(part).__name__ for part in (tokenizer.normalizer, tokenizer.pre_tokenizer)]
        added = [str(token) for token in tokenizer.get_added_tokens_decoder().values()]
        self._by_words = kinds == ["BertNormalizer", "BertPreTokenizer"] and not any(
            separator in token for token in added for separator in _SEPARATORS
        )
        self._special = tokenizer.num_special_tokens_to_add(is_pair=False)
        self._words = {"": 0}

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, special tokens included."""
        if not self._by_words:
            return [len(encoded) for encoded in self._tokenizer.encode_batch_fast(texts)]
        known = self._words = self._words if len(self._words) < _MAX_WORDS else {"": 0}
        split = [text.replace("\n", " ").split(" ") for text in texts]
        if new := list({word for words in split for word in words if word not in known}):
            encoded = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
            known.update(zip(new, map(len, encoded), strict=True))
        return [self._special + sum(map(known.__getitem__, words)) for words in split]
