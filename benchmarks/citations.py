"""Check that every citation is exact, in every unit, on real documents.

    python benchmarks/citations.py EVAL_FOLDER

Splits every EVAL_FOLDER/*/documents and cuts each passage out of the raw file: by characters, by UTF-16 units, by
bytes. The baseline is fixed windows of 160 words joined with spaces, as many splitters return them: the share that
occurs in the document at all.
"""

import argparse
import sys
from pathlib import Path

from common import setup

from qa_service.datatypes import Document
from qa_service.embedding import open_embedder
from qa_service.loading import FORMATS, Limits, ParserProcess, read_documents, scan_source
from qa_service.settings import DEFAULT_MODEL, load_settings
from qa_service.splitting import Splitter, SplitterSettings, covered_characters, embedding_text


def main() -> None:
    """Count and print; exit with 1 if a citation is not exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    folders = sorted(parser.parse_args().eval_folder.glob("*/documents"))
    embedder = open_embedder(DEFAULT_MODEL)
    settings = load_settings()
    chosen = SplitterSettings(settings.passage_tokens, embedder.window, settings.overlap_tokens)
    splitter = Splitter(chosen, embedder.count_tokens)
    print(setup())
    print(f"{'documents of':18} {'passages':>8} {'exact':>8} {'content':>8} {'tokens lost':>11} {'word windows':>13}")
    failed = False
    for folder in folders:
        limits = Limits(file_bytes=10**9)
        found = scan_source(folder, FORMATS, max_file_bytes=limits.file_bytes)
        with ParserProcess(limits) as parser:
            read = [item for file in found.files for item in read_documents(file, limits, parser)]
        documents = [document for document in read if isinstance(document, Document)]
        content = covered = 0
        passages, exact, windows, found = [], 0, 0, 0
        for document in documents:
            data = (folder / document.uri).read_bytes()
            text, utf16 = data.decode(), data.decode().encode("utf-16-le")
            own = splitter.split(document, len(passages))
            figures = covered_characters(document, own)
            content, covered = content + figures[0], covered + figures[1]
            for passage in own:
                place = passage.position
                passages.append(passage)
                exact += (
                    text[place.start_char : place.end_char]
                    == utf16[2 * place.start_utf16 : 2 * place.end_utf16].decode("utf-16-le")
                    == data[place.start_byte : place.end_byte].decode()
                    == passage.text
                )
            words = text.split()
            for start in range(0, len(words), 160):
                windows += 1
                found += " ".join(words[start : start + 160]) in text
        tokens = embedder.count_tokens([embedding_text(passage.context, passage.text) for passage in passages])
        lost = sum(max(0, count - embedder.window) for count in tokens)
        failed |= exact != len(passages) or covered < content or lost > 0
        print(
            f"{folder.parent.name:18} {len(passages):8} {exact / len(passages):8.2%} {covered / content:8.2%} "
            f"{lost:11} {found / windows:13.2%}"
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
