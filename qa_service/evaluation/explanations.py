"""Explains the figures of the reports in a sentence or two each."""

import re

_RANKING = {
    "nDCG": "How good the order of the {results} is: relevant ones count more, the higher they stand. 1 is the best "
    "order possible.",
    "RR": "One divided by the rank of the first relevant result: 1 if it is first, 0.5 if it is second, 0 if none of "
    "the {results} is relevant.",
    "R": "The share of the relevant passages that is among the {results}.",
    "Success": "Whether a relevant passage is among the {results}; also known as hit@k.",
    "P": "The share of the {results} that is relevant. It is low where few passages are relevant at all.",
    "AP": "The mean of the precisions at the rank of each relevant passage.",
}
_OTHERS = {
    "right passage first": "The first result is relevant: it shares a character with the expected span.",
    "served": "A right quote was shown, as certain or as uncertain. A quote is right if it contains the expected "
    "answer or agrees with the expected span, and stands in a relevant passage.",
    "wrongly-refused": "Nothing was shown although one of the first five results is relevant. Lower is better.",
    "wrongly-answered": "A quote was shown as certain, and none of the quotes is right, or the documents do not answer "
    "the question. Lower is better.",
    "rightly refused": "Nothing was shown for a question that the documents do not answer.",
    "span-R@5": "The share of the characters of the expected spans that the first five passages contain.",
    "span-P@5": "The share of the characters of the first five passages that is expected. Passages are longer than "
    "answers, so it is low.",
    "span-IoU@5": "The characters that the first five passages and the expected spans share, divided by those of both.",
    "EM": "The best quote equals an expected answer. Whole sentences are quoted, so it is low.",
    "F1": "How many words the best quote shares with an expected answer, by SQuAD's F1.",
    "contains": "The best quote contains an expected answer.",
    "precision of answers": "The share of certain answers whose quote is right.",
    "precision of refusal": "The share of the questions for which nothing was found that the documents do not answer.",
    "AUROC of confidence, answerable against unanswerable": "The probability that an answerable question has a higher "
    "confidence than an unanswerable one: 0.5 is chance, 1 is perfect.",
    "expected calibration error": "How far confidence is from the share of questions with a relevant passage among the "
    "first five, on average.",
    "CPU seconds": "Processor time of asking all questions, several processes together.",
    "CPU milliseconds a question": "Processor time of a question that is asked together with others.",
    "index, megabytes": "The size of the files of the index, without the model.",
    "refused": "Nothing was shown, for answerable and unanswerable questions.",
    "from": "The confidence from which a question is answered; below, it is refused.",
    "answered rightly": "Answerable questions with at least this confidence and a right quote.",
    "answered wrongly": "Answerable questions with at least this confidence and a wrong quote.",
    "refused, though right": "Answerable questions below this confidence whose quote would have been right.",
    "unanswerable, answered": "Questions that the documents do not answer, with at least this confidence.",
    "precision": "The share of the questions with at least this confidence whose quote is right.",
    "unanswerable, refused": "Nothing was shown, out of the questions that the documents do not answer.",
}
_NAME = re.compile(r"(?P<name>[A-Za-z]+)(?:\(.*\))?(?:@(?P<depth>\d+))?")


def explanation(name: str) -> str:
    """Return an explanation of a figure; empty for one that has none."""
    if name in _OTHERS:
        return _OTHERS[name]
    found = _NAME.fullmatch(name)
    if found is None or found["name"] not in _RANKING:
        return ""
    depth = found["depth"]
    results = "results" if depth is None else f"first {depth} results" if depth != "1" else "first result"
    return _RANKING[found["name"]].format(results=results)
