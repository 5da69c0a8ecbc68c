"""Writes tiny models of the kind of multilingual-e5 and BGE-M3: random weights, a SentencePiece tokenizer, prompts."""

import json
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parent.parent
PROMPTS = {"query": "query: ", "passage": "passage: "}
_BEGIN, _PAD, _END, _UNKNOWN, _MASK = _SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_VOCABULARY = 2500
_WIDTH = 48


def write_model(
    folder: Path,
    architecture: Literal["bert", "xlm-roberta"] = "xlm-roberta",
    *,
    split: bool = True,
    window: int | None = 64,
    positions: int = 64,
    prompts: dict[str, str] | None = None,
) -> Path:
    """Write a model folder for sentence-transformers, and return it.

    ``split`` removes white space before SentencePiece's tokens are marked with "▁", as XLM-R's own tokenizer does.
    Otherwise a token has the white space before it. Without a ``window``, no file states the length limit;
    ``positions`` is the number of tokens for which the weights have positions.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaModel, set_seed

    set_seed(1)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(split=split),
        bos_token=_BEGIN,
        cls_token=_BEGIN,
        pad_token=_PAD,
        eos_token=_END,
        sep_token=_END,
        unk_token=_UNKNOWN,
        mask_token=_MASK,
        model_input_names=["input_ids", "attention_mask"],
    )
    roberta = architecture == "xlm-roberta"
    config = (XLMRobertaConfig if roberta else BertConfig)(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=positions + 2 if roberta else positions,
        type_vocab_size=1 if roberta else 2,
        pad_token_id=1 if roberta else 0,
    )
    weights = (XLMRobertaModel if roberta else BertModel)(config)
    for table in (weights.embeddings.position_embeddings, weights.embeddings.token_type_embeddings):
        table.weight.data *= 0.2  # so that a token's vector is mostly its own
    weights.save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    module = Transformer(str(folder / "plain"), max_seq_length=window)
    model = SentenceTransformer(modules=[module, Pooling(_WIDTH), Normalize()], prompts=prompts, device="cpu")
    model.save_pretrained(str(folder / "model"))
    return folder / "model"


def _tokenizer(*, split: bool) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    spaces = normalizers.Replace(Regex(" {2,}"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), spaces])
    marked = pre_tokenizers.Metaspace()
    steps = [pre_tokenizers.WhitespaceSplit(), marked] if split else [marked]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_VOCABULARY, special_tokens=_SPECIAL, unk_token=_UNKNOWN, show_progress=False
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    ids = [(name, tokenizer.token_to_id(name)) for name in (_BEGIN, _END)]
    pair = "<s> $A </s> </s> $B </s>"
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair=pair, special_tokens=ids)
    return tokenizer


def _texts() -> list[str]:
    facts = json.loads((ROOT / "benchmarks/languages.json").read_text(encoding="utf-8"))
    briefing = (ROOT / "source_text/us-korea-relations.md").read_text(encoding="utf-8")
    return [briefing, *(text for language in facts.values() for pair in language for text in pair)]
