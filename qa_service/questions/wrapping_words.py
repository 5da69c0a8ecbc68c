"""The words that people wrap questions in, in English and six other languages.

A clause is wrapping if all of its words are in ``WRAPPING`` and one of them is a key: one of ``KEYS``, or one of
``WEAK_KEYS`` with one of ``PERSONS``. "Does it help?" is none, "can you help me" is.
"""

from qa_service.questions.function_words import word_set

GREETINGS = word_set(
    "hi hello hey hiya heya howdy greetings yo gm hallo hallöchen moin servus grüezi bonjour bonsoir salut "
    "coucou hola buenos buenas ciao salve buongiorno buonasera olá ola oi hoi hej goedemorgen goedemiddag "
    "goedenavond goedendag dag 안녕하세요 안녕 こんにちは 你好 您好 привет здравствуйте merhaba مرحبا"
)
THANKS = word_set(
    "thanks thank thankyou thx thnx tnx tks ty tysm tyvm tia ta cheers grateful obliged appreciated danke "
    "dankeschön dank merci gracias grazie obrigado obrigada bedankt tack спасибо 감사합니다 고맙습니다 "
    "ありがとう ありがとうございます 谢谢 teşekkürler شكرا"
)
PLEASE = word_set(
    "please pls plz plss kindly bitte svp stp plaît plait por favore piacere alsjeblieft alstublieft пожалуйста 请 请问"
)
CLOSINGS = word_set(
    "regards wishes sincerely cordially respectfully faithfully bye goodbye grüße grüßen mfg cordialement "
    "saludos saluti cumprimentos abraços groeten groetjes groet"
)
KEYS = (
    GREETINGS
    | THANKS
    | PLEASE
    | CLOSINGS
    | word_set(
        "dear good guten bom boa possible sorry apologies excuse "
        "pardon question questions query q wondering wonder wondered curious "
        "curiosity idea ideas clue clues anyone anybody someone somebody btw fyi asap urgent um umm uh uhm hmm "
        "hm er erm ok okay so well alright homework anyway asking frage vraag vraagje domanda pregunta pergunta "
        "entschuldigung pardon disculpa disculpe perdón scusa scusi scusate desculpe desculpa dime dimmi"
    )
)
WEAK_KEYS = word_set(
    "tell forgot forgotten know knows knew knowing remind inform "
    "explain remember recall help helping helps ask find advise "
    "answer answering interested appreciate understand learn figure share let day mind finds doing look let's "
    "sagen wissen erklären weiß weißt verraten dire savez sais savoir expliquer dis dites demande decir decirme "
    "sabes saber sabe explicar dire dirmi sai sapere dizer vertellen weet weten zeggen uitleggen pregunto"
)
PERSONS = word_set(
    "i i'd i'm i've i'll im id me my we us our you your u mir ich uns sie du me je j'aimerais nous vous "
    "pouvez-vous pourriez-vous peux-tu pourrais-tu savez-vous sais-tu tu mi decirme dirmi alguien você voce ik "
    "mij je u iemand jemand te dites-moi dis-moi puedes podrías puede podría quisiera quiero puoi potresti può "
    "vorrei gostaria pode poderia"
)
_OTHERS = word_set(
    "we'd we're it it's its this that these here here's there there's one any some all a an the of for to in on with "
    "and but from about at as by if be been am was is are would could can will may might must should do does did "
    "have has had wouldn't couldn't won't can't cant didn't don't dont not just really very so much lot lots "
    "bunch ton million big many most more again quick quickly short small little simple silly stupid dumb basic "
    "random last next another first other final help time support assistance reply response responses answers "
    "info information pointers pointer hint hints patience consideration effort advance hope hoping hopefully "
    "fine going find out up how's hows you're everyone everybody team guys folks friends friend mate buddy bot "
    "assistant sir madam helpdesk colleagues new day weekend evening afternoon morning night great nice best "
    "warm warmest kind love like want wanted need needed wish glad happy possible possibly mind able chance "
    "happen maybe perhaps looking give show something anything else bother bothering thing things reading read "
    "take taking took sharing yours truly actually simply exactly briefly also pretty now then real happens busy "
    "while hear trying try tried been quite bit little use useful awesome amazing lovely wonderful guten morgen "
    "abend gute zusammen liebe liebes lieber alle vielen besten herzlichen schönen schön sehr im voraus schon "
    "mal für die der das hilfe ihre deine können könnten kann könnte kannst könntest würden würdest ich möchte "
    "würde gerne gern wollte habe hätte eine kurze viele freundlichen nur le la beaucoup bien pour votre ton "
    "aide à tous tout monde madame monsieur est-ce que pouvez une un petite s'il s'te d'avance avance par je "
    "voudrais savoir peux pourriez excusez-moi bonne journée mille por favor de antemano muchas mil días dias tardes "
    "noches gustaría a todos tengo una amigos mille molte tante in anticipo tutti ho per può bom boa dia tarde "
    "noite muito desde já pela ajuda tenho uma pessoal tudo bem com licença goede kun kunt zou kan wil graag wel "
    "alvast bij voorbaat een hartelijk iedereen allemaal voor hulp"
)
WRAPPING = KEYS | WEAK_KEYS | PERSONS | _OTHERS
ABOUT = word_set("about on")
KNOWLEDGE = word_set("tell know learn hear read information info something")
EXPLAIN = word_set("explain describe define summarize summarise compare outline list clarify")
"""Verbs that stay before their object: "explain strategic patience"."""
CONTRACTED = word_set("what's who's when's where's how's whats whos hows qu'est-ce cos'è dov'è")
"""Question words with their verb."""
SMALL_TALK = (
    ("how", "are", "you"),
    ("how", "are", "you", "doing"),
    ("how", "are", "you", "today"),
    ("how", "is", "it", "going"),
    ("how's", "it", "going"),
    ("what's", "up"),
    ("new", "here"),
    ("help",),
    ("one", "more", "thing"),
    ("wie", "geht's"),
    ("wie", "geht", "es"),
    ("ça", "va"),
    ("comment", "ça", "va"),
    ("qué", "tal"),
    ("come", "va"),
    ("dear", "sir", "or", "madam"),
)
"""Greetings of other words, if something follows."""
MENTIONING = word_set(
    "say says said saying reply replied mean means word words phrase called named titled sing sings sang sung song "
    "singing write wrote spell give gives gave giving a an the of to in on by with from and or for my your his her "
    "don't not never always no more cheers as you they we he she it one"
)
"""A phrase without punctuation behind such a word is what the question is about."""
ELIDED = frozenset((("would", "love"), ("would", "like"), ("want", "to"), ("need", "to"), ("trying", "to")))
"""Beginnings of lead-ins without their "I"."""
