"""The language of a question: told where it can be, and never for English questions with foreign words."""

import pytest

from qa_service.index.words import languages
from qa_service.questions.function_words import FUNCTION_WORDS
from qa_service.questions.languages import foreign_language, language_of

QUESTIONS = [
    ("Arabic", "متى تم توقيع الاتفاقية؟"),
    ("Arabic", "ما هي GSOMIA؟"),
    ("Armenian", "Երբ է ստորագրվել պայմանագիրը"),
    ("Basque", "Noiz sinatu zen ituna?"),
    ("Catalan", "Qui va tancar Kaesong?"),
    ("Chinese", "驻韩美军有多少人?"),
    ("Chinese", "KORUS什么时候签署的"),
    ("Czech", "Kdy byla smlouva podepsána?"),
    ("Danish", "Hvornår blev traktaten underskrevet?"),
    ("Dutch", "Wat is KORUS?"),
    ("Dutch", "Hoeveel lanceerders heeft een batterij?"),
    ("Esperanto", "Kiam oni subskribis la traktaton?"),
    ("Estonian", "Millal leping allkirjastati?"),
    ("Finnish", "Kuka sulki Kaesongin?"),
    ("French", "Qu'est-ce que le GSOMIA ?"),
    ("French", "Combien de soldats sont dans le pays?"),
    ("French", "qui paie THAAD"),
    ("German", "Was ist GSOMIA?"),
    ("German", "wieviele Soldaten sind in Südkorea"),
    ("German", "Warum?"),
    ("Greek", "Πότε υπογράφηκε η συνθήκη;"),
    ("Hindi", "संधि पर कब हस्ताक्षर हुए?"),
    ("Hungarian", "Hány indító van egy ütegben?"),
    ("Indonesian", "Kapan perjanjian itu ditandatangani?"),
    ("Irish", "Cathain a síníodh an conradh?"),
    ("Italian", "Quanti soldati sono in Corea?"),
    ("Italian", "Chi ha chiuso il complesso?"),
    ("Japanese", "いつ署名されましたか"),
    ("Japanese", "THAADの費用"),
    ("Korean", "THAAD 포대는 몇 개입니까?"),
    ("Korean", "KORUS는 언제?"),
    ("Korean", "한미상호방위조약"),
    ("Lithuanian", "Kada buvo pasirašyta sutartis?"),
    ("Nepali", "सन्धि कहिले हस्ताक्षर भयो?"),
    ("Norwegian", "Når ble avtalen undertegnet?"),
    ("Persian", "پیمان چه زمانی امضا شد؟"),
    ("Polish", "Kto podpisał traktat?"),
    ("Portuguese", "Quem assinou o tratado e quando?"),
    ("Portuguese", "O que é KORUS?"),
    ("Romanian", "Când a fost semnat tratatul?"),
    ("Russian", "Сколько солдат в Корее в 1953?"),
    ("Serbian", "Kada je potpisan sporazum?"),
    ("Serbian", "Када је потписан споразум?"),
    ("Sesotho", "Tumellano e saenilwe neng hobaneng?"),
    ("Spanish", "¿Cuántos soldados hay en el país?"),
    ("Spanish", "cuando murio Park"),
    ("Swedish", "Vem stängde Kaesong?"),
    ("Tamil", "ஒப்பந்தம் எப்போது கையெழுத்தானது?"),
    ("Turkish", "KORUS nedir?"),
    ("Yiddish", "ווען האט מען אונטערגעשריבן?"),
    ("Hebrew", "מתי נחתם ההסכם?"),
    ("Thai", "สนธิสัญญาลงนามเมื่อไหร่"),
    ("Ukrainian", "Коли було підписано угоду?"),
    ("Cyrillic script", "договор"),
    ("Ethiopic script", "ስምምነቱ መቼ ተፈረመ"),
]


@pytest.mark.parametrize(("language", "question"), QUESTIONS)
def test_a_language_is_told_by_its_words_or_script(language: str, question: str) -> None:
    """Short questions and such with Latin names included."""
    assert language_of(question) == language


ENGLISH = [
    *("Who signed the treaty?", "WHO SIGNED THE TREATY?", "what is korus", "How are Ergänzungsschulen funded?"),
    *("What does 'Que sera sera' mean?", "who spoke the words ich bin ein berliner", "What is 北京?", "Who is 김정은?"),
    *("what was die hard filmed in", "who directed la casa de las flores", "who wrote Les Misérables"),
    "is van Gogh Dutch",
]  # fmt: skip
NO_LANGUAGE = [
    *("Los Angeles las Vegas distance", "von der Leyen commission", "El Niño effects", "Côte d'Ivoire capital"),
    *("la la land director", "Como 1907 stadium", "Dove soap manufacturer", "Das Boot director", "MIT founding year"),
    *("De la Soul members", "Señor de los Cielos cast", "Leonardo da Vinci", "Kim Il-sung father", "Erdoğan biography"),
    *("α-synuclein mutations", "naïve Bayes", "quid pro quo", "per capita GDP", "Tour de France 2018", "Van den Berg"),
    *("THAAD", "1953", "?", "", "👍", "Ⅷ ½ ⑤ ²", "x" * 2000, "la " * 600),
]  # fmt: skip


@pytest.mark.parametrize("question", ENGLISH)
def test_english_questions_with_foreign_words_are_english(question: str) -> None:
    assert language_of(question) == "English"


@pytest.mark.parametrize("question", NO_LANGUAGE)
def test_names_tell_no_language(question: str) -> None:
    """In Latin script with accents too."""
    assert language_of(question) is None


def test_a_language_is_foreign_if_the_documents_lack_its_words() -> None:
    """Half of its function words are enough, and a fifth of words or pairs in its script; English is never foreign."""
    question = "Wann wurde KORUS unterzeichnet?"
    assert foreign_language(question, lambda _: False) == "German"
    assert foreign_language(question, lambda word: word == "wann") is None
    assert foreign_language("KORUS는 언제?", lambda _: False) == "Korean"
    assert foreign_language("KORUS는 언제 서명됐나?", lambda word: word == "언제") is None
    assert foreign_language("なぜ日本は大使を召還したのですか", lambda word: word == "日本") == "Japanese"
    assert foreign_language("Сколько солдат?", lambda word: word == "солдат") is None
    assert foreign_language("When was it signed?", lambda _: False) is None
    assert foreign_language("KORUS", lambda _: False) is None


def test_every_stemmed_language_has_function_words() -> None:
    """Each with words that ask, that negate, and others."""
    assert set(languages()) - set(FUNCTION_WORDS) == {"dutch_porter", "porter", "none"}
    for language, own in FUNCTION_WORDS.items():
        assert all(len(words) >= least for words, least in ((own.asking, 8), (own.negations, 3), (own.others, 12))), (
            language
        )
        assert not own.negations & own.stop_words, language
