"""The phrases that people wrap questions in, in English and six other languages, as templates.

In a template, ``(a|b)`` is one of several, ``[a|b]`` one of them or nothing. Punctuation between words is not written,
and no word of ``FILLERS``: those may stand anywhere.
"""

import itertools
import re
from collections.abc import Iterator

from qa_service.questions.function_words import word_set

Phrase = tuple[str, ...]

_PART = re.compile(r"\(([^)]*)\)|\[([^\]]*)\]|(\S+)")


def _expand(template: str) -> Iterator[Phrase]:
    """Yield all phrases of a template, as words."""
    parts = [
        one_of.split("|") if one_of else ["", *optional.split("|")] if optional else [word]
        for one_of, optional, word in _PART.findall(template)
    ]
    return (tuple(" ".join(chosen).split()) for chosen in itertools.product(*parts))


def _phrases(templates: str) -> frozenset[Phrase]:
    """Return the phrases of templates, one a line."""
    return frozenset(phrase for line in templates.strip().splitlines() for phrase in _expand(line.strip()))


FILLERS = word_set(
    "please pls plz kindly possibly maybe perhaps quickly just really simply actually also exactly briefly bitte svp "
    "alsjeblieft alstublieft gerne gern graag nur auch"
)
"""Words that may stand in any phrase, and alone before something that asks."""

GREETINGS = _phrases("""
    (hi|hello|hey|hiya|howdy|hi hi|hello hello|greetings|yo) [there|all|everyone|everybody|team|folks|guys|again]
    (hi|hello|hey) [there] (bot|assistant|mate|support|sir|madam|sir or madam|everyone|all)
    good (morning|afternoon|evening|day) [there|all|everyone|everybody|team|folks|guys|friends|again|sir|madam|support]
    [hi|hello|hey] dear (all|team|sir|madam|sir or madam|friends|colleagues|support|assistant|bot)
    [hi|hello|hey] [there] (how are you|how are you doing|how are you today|hope you are well|hope you're well)
    (i hope|hope) (you are|you're|all is|this finds you) (doing well|well|good)
    (hallo|hallöchen|guten tag|guten morgen|guten abend|moin|servus|grüezi|grüß gott) [zusammen|alle|liebes team|team]
    (bonjour|bonsoir|salut|coucou|rebonjour) [à tous|tout le monde|madame|monsieur|l'équipe]
    (hola|buenas|buenos días|buenos dias|buenas tardes|buenas noches|muy buenas) [a todos|todos|amigos|equipo|qué tal]
    (ciao|salve|buongiorno|buonasera|buon pomeriggio) [a tutti|tutti]
    (olá|ola|oi|bom dia|boa tarde|boa noite) [a todos|pessoal|tudo bem]
    (hoi|goedemorgen|goedemiddag|goedenavond|goedendag|goeiedag|dag) [allemaal|iedereen|team]
    (안녕하세요|안녕|こんにちは|你好|您好|привет|здравствуйте|добрый день|hej|merhaba|مرحبا)
""")

THANKS = _phrases("""
    [many|big|ok|okay|hi|hello] thanks [so much|very much|a lot|a bunch|a ton|a million] [again|all|everyone|guys|team]
    [ok|okay] thank (you|u) [so much|very much] [again|all|everyone|guys|team]
    [many] (thanks|thank you) [so much|a lot|very much] (in advance|for helping|for your time|for any help)
    (thanks|thank you) [so much|a lot|very much] for (your|the) (help|support|assistance|answer|answers|reply|response)
    (thx|thnx|tnx|tks|ty|tysm|tia|cheers|ta|thankyou) [so much|a lot|again|in advance|mate|all|everyone|guys|team]
    (i'd|i would|i) appreciate (it|any help|your help|the help|a quick answer) [a lot|very much]
    [any|your] help (is|would be) [much|greatly|very much] appreciated
    [it is|it's] [much|greatly] appreciated
    appreciate (it|your help|the help)
    [vielen|besten|herzlichen|lieben|schönen|tausend] dank [im voraus|schon mal|für die hilfe|für ihre hilfe]
    danke [schön|sehr|vielmals] [im voraus|schon mal|für die hilfe|für ihre hilfe|für deine hilfe]
    (dankeschön|dankesehr)
    [mille] merci [bien|beaucoup|infiniment] [d'avance|par avance|pour votre aide|pour ton aide|à tous]
    [muchas|mil|muchísimas] gracias [de antemano|por adelantado|por la ayuda|por su ayuda|por tu ayuda|a todos]
    [molte|mille] grazie [mille|tante] [in anticipo|per l'aiuto|a tutti]
    [muito] (obrigado|obrigada) [desde já|pela ajuda|a todos]
    (desde já obrigado|desde já obrigada|agradeço desde já)
    [alvast] (bedankt|dank je|dank u|dank je wel|dank u wel|hartelijk dank) [alvast|bij voorbaat|voor de hulp]
    (감사합니다|고맙습니다|ありがとう|ありがとうございます|谢谢|谢谢你|спасибо|tack|teşekkürler|شكرا)
""")

PLEASE = _phrases("""
    (please|pls|plz|plss|pleeease|pretty please|if you please|bitte|bitte schön|svp|stp|s'il vous plaît|s'il te plaît)
    (s'il vous plait|s'il te plait|por favor|per favore|per piacere|per cortesia|se faz favor|alsjeblieft|alstublieft)
    (будьте добры|пожалуйста|부탁드립니다|请|请问|お願いします)
""")

CLOSINGS = _phrases("""
    [kind|kindest|best|warm|warmest|many|with kind|with best] regards
    (best wishes|all the best|yours sincerely|sincerely|yours truly|yours faithfully|respectfully)
    [have a] (nice|great|good) (day|evening|weekend|one|week)
    (bye|bye bye|goodbye|see you|see ya|take care|take your time|no rush|urgent|asap)
    (viele|liebe|beste|schöne|herzliche) grüße
    (mit freundlichen grüßen|mfg|lg|vg|cordialement|bien cordialement|bonne journée|saludos|un saludo|cordiali saluti)
    (saluti|cumprimentos|abraços|met vriendelijke groet|mvg|groeten|groetjes)
""")

TAGS = _phrases("""
    (do|does|did|would) (you|anyone|anybody|someone|u) [happen to] know
    (any|got any|have you any|have you got any|do you have any) (idea|ideas|clue|info)
    (can|could|would|will) (you|anyone|anybody|someone|u) (tell me|let me know|help|help me|explain|answer)
    (let me know|tell me|advise|help|help me|answer|explain|respond|reply|assist)
    (if you know|if you don't mind|if that's ok|if possible|if you can|when you have time|curious|wondering)
    (wissen sie das|weißt du das|weiß das jemand)
    (le savez-vous|tu sais|vous savez|lo sabes|alguien sabe|lo sai|weet je dat)
""")

OPENERS = (
    GREETINGS
    | THANKS
    | _phrases("""
    (ok|okay|alright|so|well|um|uh|uhm|hmm|hm|er|erm|oh|ah|anyway|now|listen|look|basically) [so|then|now|well]
    (excuse me|pardon me|pardon|sorry|i'm sorry|apologies|sorry to bother you|sorry to ask) [but]
    (sorry for the|forgive the|excuse the) (question|stupid question|dumb question|basic question|silly question)
    [one|another|a] [more] (stupid|dumb|silly|basic|simple|random|quick|short|small|little|last) question [here|though]
    (question|q|query|one question|my question|the question|here's my question|here is my question|one more question)
    (i have|i've got|i've|i got|got|i had) (a|another|one|one more) [quick|short|small|simple|little] question [for you]
    [i'm|im|i am|i was] (curious|wondering|asking) [here|though]
    (out of curiosity|for my curiosity|by the way|btw|fyi|to be clear|real quick|in short|just checking)
    (help|help me|urgent|need help|i need help|i need some help)
    (kurze frage|eine frage|eine kurze frage|ich habe eine frage|ich hätte eine frage|entschuldigung)
    (petite question|une question|j'ai une question|une petite question|excusez-moi)
    (una pregunta|tengo una pregunta|pregunta|una consulta|disculpa|disculpe|perdón|oye)
    (una domanda|ho una domanda|domanda|scusa|scusi|scusate|senta|senti)
    (uma pergunta|tenho uma pergunta|uma dúvida|tenho uma dúvida|desculpe|desculpa|com licença)
    (een vraag|een vraagje|ik heb een vraag|vraagje|korte vraag)
""")
)
"""Before a question, and set off from it."""

LEAD_INS = _phrases("""
    (can|could|would|will) (you|u|someone|anyone|somebody|anybody) (tell me|tell us|inform me|remind me|show me)
    (can|could|would|will) (you|u|someone|anyone|somebody) (let me know|let us know|help me understand|help me find out)
    (can|could|would|will) (you|u|someone|anyone|somebody) (explain|explain to me|explain to us|clarify|say)
    (tell me|tell us|inform me|remind me|show me|let me know|let us know|help me understand|explain to me|explain)
    (do|does|did|would) (you|u|anyone|anybody|someone) [happen to|by any chance] know
    (can|could|may|might) (i|we) (ask|ask you|know|find out|learn)
    (might you know|any idea|any ideas|any clue|have you any idea|got any idea|do you have any idea)
    (would|do) you mind (telling me|telling us|explaining to me|explaining)
    (is it possible|would it be possible|is there any way|is there a way) to (tell me|know|find out|say|explain)
    [i was|we were|i am|we are|i'm|im|i've been] (wondering|curious|curious about|asking myself|asking)
    [i was|i am|i'm] wondering if (you|someone|anyone) (could|can|might|would) (tell me|tell us|let me know|explain|say)
    [i was] (wondering|wonder) if (you|anyone|someone) (knows|know|knew|happen to know)
    (i|we) (wonder|wondered|want to know|wanted to know|need to know|wish to know|wanna know|would like to know)
    (i|we) (want|wanted|need|wish|would like|would love) to (understand|learn|find out|ask|ask you)
    (i'd|we'd|id) (like|love) to (know|understand|learn|find out|ask|ask you|hear)
    (i'm|i am|we are|we're) (trying|looking|hoping) to (find out|understand|learn|figure out|know)
    (my question is|the question is|question is|what i want to know is|what i'd like to know is|i ask myself)
    (können|könnten|würden) sie mir (sagen|erklären|verraten|mitteilen)
    (kannst|könntest|würdest) du mir (sagen|erklären|verraten)
    (sagen sie mir|sag mir|sagt mir|wissen sie|weißt du|weiß jemand|kann mir jemand sagen)
    (ich möchte wissen|ich würde wissen|ich wollte wissen|ich will wissen|ich frage mich|ich wüsste|mich interessiert)
    (pouvez-vous|pourriez-vous|peux-tu|pourrais-tu|est-ce que vous pouvez|vous pouvez) (me|nous) (dire|expliquer)
    (savez-vous|sais-tu|est-ce que tu sais|est-ce que vous savez|dites-moi|dis-moi|je me demande|je me demandais)
    (je voudrais|j'aimerais|je souhaite|je veux|je souhaiterais) (savoir|bien savoir)
    [me] (puedes|podrías|puede|podría|podrían) [por favor] (decirme|explicarme|decir|explicar|indicarme)
    (sabes|sabe usted|sabe|sabéis|alguien sabe|dime|dígame|me pregunto|me preguntaba)
    (quisiera|quiero|querría|me gustaría) saber
    [mi] (puoi|potresti|può|potrebbe|sai|sa|saprebbe|sapresti) [per favore] (dirmi|dire|spiegarmi|spiegare)
    (sai|sa|sapete|qualcuno sa|dimmi|mi dica|mi chiedo|mi chiedevo|vorrei sapere|voglio sapere)
    [você] (pode|poderia|podia) [por favor] (me dizer|dizer-me|me explicar|me informar)
    (você sabe|alguém sabe|diga-me|me diga|gostaria de saber|queria saber|quero saber|eu gostaria de saber)
    (kun|kunt|zou|kan) (je|u|iemand) (me|mij) (vertellen|zeggen|uitleggen)
    (weet je|weet u|weet iemand|vertel me|zeg me|ik vraag me af|ik wil weten|ik zou weten)
    (혹시|请问|教えてください)
""")
"""The beginning of a sentence that goes on with something that asks."""

SUBJECT_LEAD_INS = _phrases("""
    [can you|could you|would you] (tell me|tell us|inform me|teach me) [something|more|a bit|a little] about
    (i'd|i would|we would|we'd) (like|love) to (know|learn|read|hear|find out) [more|something] about
    (i want|i need|i wanted) to (know|learn|find out) [more|something] about
    (i'm|i am|we are) looking for (information|info|details|facts|something) (on|about)
    (do you know|what do you know|do you have) (anything|something|any information|any info|information) (on|about)
""")
"""Before a subject."""

REQUESTS = _phrases("(can|could|would|will) (you|u|someone|anyone|somebody|anybody)")
"""Before one of ``EXPLAIN``, which stays: "explain strategic patience"."""

EXPLAIN = word_set("explain describe define summarize summarise compare outline list clarify")

CONTRACTED = word_set("what's who's when's where's how's whats whos hows qu'est-ce cos'è dov'è")
"""Question words with their verb."""
