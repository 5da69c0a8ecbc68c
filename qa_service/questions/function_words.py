"""Function words of the languages that Snowball stems: question words, negations, and others that say nothing alone.

The lists are ours, of the commonest forms. Those of English are what confidence was fitted with (decision 0007).
"""

import unicodedata
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class FunctionWords:
    """Some function words of a language, case folded."""

    asking: frozenset[str]
    """The words that begin a question."""
    negations: frozenset[str]
    others: frozenset[str]
    """Articles, prepositions, conjunctions, pronouns and auxiliary verbs."""

    @property
    def stop_words(self) -> frozenset[str]:
        """All but the negations."""
        return self.asking | self.others


def word_set(text: str) -> frozenset[str]:
    """Return the words of a list, case folded."""
    return frozenset(text.casefold().split())


def _of(asking: str, negations: str, others: str) -> FunctionWords:
    return FunctionWords(word_set(asking), word_set(negations), word_set(others))


FUNCTION_WORDS = {
    "english": _of(
        "what which who whom whose when where why how",
        "not no never without except neither nor nobody nothing none least fewest lack",
        "is are was were be been do does did has have had can could would should will the a an of in on for to by with "
        "from as at and or that this it its their there they he she his her than then into about much many",
    ),
    "arabic": _of(
        "ما ماذا من متى أين كيف كم لماذا هل أي لمن ولماذا",
        "لا لم لن ليس ليست غير بدون",
        "في على إلى عن مع هو هي هم هذا هذه ذلك تلك التي الذي كان كانت يكون أن إن أو ثم بعد قبل بين حتى قد كل",
    ),
    "armenian": _of(
        "ինչ ով ովքեր որ երբ որտեղ ինչու ինչպես քանի որքան որն",
        "ոչ չի չէ չեն չկա երբեք առանց",
        "է են էր էին եւ և ու մեջ մասին համար հետ այս այդ այն նա նրանք իր իրենց մի կամ որպես",
    ),
    "basque": _of(
        "zer nor nork noiz non nola zergatik zenbat zein zeintzuk nora nondik noren",
        "ez inoiz gabe",
        "da dira zen ziren du dute zuen zuten eta edo hau hori hura bat izan ere dago daude behar bere ditu baina",
    ),
    "catalan": _of(
        "què qui quan on com quants quantes quin quina quins quines perquè quant",
        "no mai cap sense tampoc",
        "el la els les un una i o de del dels a al amb per en és són va van ser era eren que es ha han hi aquest "
        "aquesta seu seva entre sobre també més",
    ),
    "czech": _of(
        "co kdo kdy kde jak proč kolik který která které jaký jaká jaké kam odkud čí koho komu",
        "ne není nejsou nebyl nebyla nikdy bez nikdo nic žádný",
        "je jsou byl byla bylo byly a i nebo v ve na z ze do od pro s se k o že to ten ta tato tento jeho její jejich "
        "bude má mají při po za už také",
    ),
    "danish": _of(
        "hvad hvem hvornår hvor hvorfor hvordan hvilken hvilket hvilke hvis",
        "ikke ingen intet aldrig uden",
        "er var blev bliver været har havde kan kunne skal skulle vil den det de en et og eller i på af til fra med "
        "om som ved for at han hun sin deres mange meget mellem efter",
    ),
    "dutch": _of(
        "wat wie wanneer waar waarom hoe welke welk hoeveel waarvoor waarmee wiens",
        "niet geen nooit zonder niemand niets noch",
        "is zijn was waren wordt worden werd werden heeft hebben had kan kunnen zal zou de het een en of in op van "
        "voor met door aan bij uit naar om te dat die deze dit er hij zij ze hun haar ook als over tot tussen",
    ),
    "esperanto": _of(
        "kio kiu kiuj kiam kie kial kiel kiom kia kies ĉu",
        "ne neniam neniu nenio sen",
        "estas estis la kaj aŭ en de al el por kun per pri sur li ŝi ĝi ili tiu tio ke ĉe oni havas povas",
    ),
    "estonian": _of(
        "mis kes millal kus miks kuidas mitu kui palju milline millised kelle mille kuhu kas",
        "ei pole polnud mitte kunagi ilma",
        "on oli olid ja või ning see need ta tema nad oma aga et ka mida kellel võib saab seda selle pärast enne",
    ),
    "finnish": _of(
        "mikä mitä kuka ketkä milloin missä miksi miten kuinka montako mihin mistä minkä kenen mitkä koska paljonko",
        "ei en et eivät eikä ilman koskaan",
        "on ovat oli olivat ollut ja tai sekä se ne hän he joka jotka että kun jos mutta myös sen niiden hänen voi",
    ),
    "french": _of(
        "que quoi qui quand où comment pourquoi combien quel quelle quels quelles lequel laquelle qu",
        "ne pas jamais sans aucun aucune rien personne ni",
        "le la les l un une des du de d au aux et ou à en dans sur par pour avec est sont était étaient été a ont "
        "avait sera fut peut ce cet cette ces il elle ils elles son sa ses leur leurs se s y t entre plus ce c",
    ),
    "german": _of(
        "was wer wen wem wessen wann wo warum wieso weshalb wie welche welcher welches welchen welchem wohin woher "
        "womit wofür wodurch worüber wieviel wieviele",
        "nicht kein keine keinen keinem keiner keines nie niemals ohne außer weder noch niemand nichts",
        "ist sind war waren sein wird werden wurde wurden worden hat haben hatte hatten kann können konnte soll muss "
        "der die das den dem des ein eine einen einem einer eines und oder in im an am auf von vom zu zum zur mit "
        "für bei aus nach über um als durch zwischen es er sie ihr ihre sich dass dieser diese dieses viele gibt",
    ),
    "greek": _of(
        "τι ποιος ποια ποιο ποιοι ποιες πότε πού πως πώς γιατί πόσο πόσα πόσοι πόσες ποιον",
        "δεν μην όχι ποτέ χωρίς κανείς τίποτα",
        "είναι ήταν έχει έχουν ο η το οι τα του της των τον την και ή σε στο στη στην στον στα από για με ως που να "
        "θα αυτό αυτή αυτός ένα μια ένας",
    ),
    "hindi": _of(
        "क्या कौन कब कहाँ कहां क्यों कैसे कितने कितना कितनी किस किसने किसके किन कौनसा",
        "नहीं न ना मत बिना कभी",
        "है हैं था थी थे का की के को में से पर और या ने यह वह ये वे इस उस एक हो गया गई कर किया तक लिए साथ",
    ),
    "hungarian": _of(
        "mi mit ki kit kik mikor hol miért hogyan hány mennyi melyik milyen hová honnan kinek kié mely",
        "nem nincs nincsenek ne soha sem se nélkül",
        "a az egy és vagy van vannak volt voltak lesz hogy ez azt ezt is meg de mint már ő ők között után szerint",
    ),
    "indonesian": _of(
        "apa siapa kapan mana dimana mengapa kenapa bagaimana berapa apakah kemana",
        "tidak bukan tanpa belum jangan",
        "yang di ke dari dan atau untuk pada dengan oleh adalah ini itu dalam akan telah sudah ada para dia mereka "
        "sebagai bisa dapat saat",
    ),
    "irish": _of(
        "cad céard cé cathain conas cén cá fáth mhéad",
        "ní níl níor nach gan nár",
        "an na agus nó is tá bhí ar le do de i sa san ag go as bhfuil raibh sé sí siad seo sin a mar idir",
    ),
    "italian": _of(
        "che cosa chi quando dove come perché quanto quanti quanta quante quale quali cos qual dov com",
        "non mai senza nessun nessuno nessuna niente nulla né",
        "il lo la i gli le l un uno una e o di del dello della dei degli delle a al alla ai alle da dal dalla in nel "
        "nella con su sul sulla per tra fra è sono era erano stato stata stati ha hanno aveva fu si ci suo sua loro "
        "questo questa anche più",
    ),
    "lithuanian": _of(
        "kas ką kada kur kodėl kaip kiek kuris kuri kurie koks kokia kokie kieno kam ar",
        "ne nėra nebuvo niekada be niekas",
        "yra buvo ir arba į iš su už apie prie po nuo iki tai jis ji jie jo jos jų kad bet dėl bus šis ši",
    ),
    "nepali": _of(
        "के को कहिले कहाँ किन कसरी कति कुन कसले कसको",
        "छैन होइन थिएन नभएको बिना कहिल्यै",
        "छ छन् हो थियो थिए र वा मा बाट लाई ले को का की यो त्यो यी ती एक पनि भने गरेको भएको",
    ),
    "norwegian": _of(
        "hva hvem når hvor hvorfor hvordan hvilken hvilket hvilke hvis",
        "ikke ingen intet aldri uten",
        "er var ble blir vært har hadde kan kunne skal skulle vil den det de en et ei og eller i på av til fra med om "
        "som ved for at han hun sin deres mange mye mellom etter",
    ),
    "persian": _of(
        "چه چی کی کجا چرا چگونه چطور چند کدام آیا چقدر",
        "نه نیست نبود نیستند بدون هرگز هیچ",
        "است هست بود بودند شد شده می را از به در با که و یا این آن برای تا بر او آنها یک هم",
    ),
    "polish": _of(
        "co kto kiedy gdzie dlaczego jak ile który która które którzy jaki jaka jakie czy kogo komu czyj skąd dokąd",
        "nie nigdy bez nikt nic żaden żadna",
        "jest są był była było były został została a i oraz lub w we na z ze do od dla o po za przez przy że to ten ta "
        "te jego jej ich się ma mają może także",
    ),
    "portuguese": _of(
        "que quê por quem quando onde como porquê porque quanto quantos quanta quantas qual quais",
        "não nunca sem nenhum nenhuma ninguém nada nem",
        "o a os as um uma e ou de do da dos das em no na nos nas a ao aos à às por pelo pela para com é são foi foram "
        "era ser está estão tem têm há se seu sua seus suas ele ela eles este esta isso entre sobre mais também",
    ),
    "romanian": _of(
        "ce cine când unde cum câți câte cât câtă care cui cărui căror cât",
        "nu niciodată fără nimeni nimic niciun nicio nici",
        "este sunt era erau fost are a au un o și sau în la de din pe cu pentru prin al ale ai lui ei lor se să că mai "
        "după între acest această",
    ),
    "russian": _of(
        "что кто когда где почему как сколько какой какая какое какие каких чей куда откуда зачем кого кому кем чем "
        "чего каком какую",
        "не нет никогда без никто ничего ни нельзя",
        "это был была было были есть и а или в во на с со из к ко по за для о об от до при у же бы ли он она оно они "
        "его её ее их этот эта эти который которая которые так также",
    ),
    "serbian": _of(
        "šta što ko tko kada kad gde gdje kako zašto koliko koji koja koje kakav čiji kuda "
        "шта што ко када кад где како зашто колико који која које какав чији куда",
        "ne nije nisu nikad nikada bez niko ništa не није нису никад никада без нико ништа",
        "je su bio bila bilo bili i ili u na iz sa za od do po o da se to taj ta ovaj njegov njen njihov će kao "
        "је су био била било били и или у на из са за од до по о да се то тај та овај ће као",
    ),
    "sesotho": _of(
        "eng mang neng hobaneng jwang joang kae bokae efe",
        "ha tjhe che",
        "ke le ya wa ba ka ho mo sa e o hore kapa leha tsa tse",
    ),
    "spanish": _of(
        "qué que quién quien quiénes quienes cuándo cuando dónde donde adónde cómo como cuánto cuántos cuánta cuántas "
        "cuantos cuantas cuanto cuál cual cuáles cuales por",
        "no nunca sin ningún ninguno ninguna nadie nada ni jamás tampoco",
        "el la los las un una unos unas y e o u de del a al en con por para es son fue fueron era eran ser está están "
        "ha han hay había se su sus le les lo este esta esto ese esa entre sobre más también desde hasta",
    ),
    "swedish": _of(
        "vad vem vilka när var varför hur vilken vilket vems vart",
        "inte ej ingen inget inga aldrig utan",
        "är blev blir varit har hade kan kunde ska skulle vill den det de en ett och eller i på av till från med om "
        "som vid för att han hon sin sitt deras många mycket mellan efter",
    ),
    "tamil": _of(
        "என்ன யார் எப்போது எங்கே எங்கு ஏன் எப்படி எத்தனை எவ்வளவு எந்த எது யாரால்",
        "இல்லை அல்ல இல்லாமல் இல்லாத",
        "உள்ளது உள்ளன இருந்தது ஒரு இந்த அந்த மற்றும் அல்லது இது அது என்று அவர் அவர்கள் ஆகும்",
    ),
    "turkish": _of(
        "ne kim nedir kimdir nerede nereye nereden niçin neden niye nasıl kaç hangi hangisi kimin kime kimler zaman mi "
        "mı mu mü",
        "değil yok hiç hiçbir asla olmayan",
        "ve veya ile bir bu şu o için gibi kadar da de ki var olan olarak olduğu oldu edildi vardır en daha çok sonra",
    ),
    "yiddish": _of(
        "וואָס װאָס ווער ווען וואו וווּ פארוואס פֿאַרוואָס ווי וויפל וועלכע",
        "נישט ניט קיין קיינמאל אָן",
        "איז זענען געווען האט האָט די דער דאס דאָס א אַן און אין פון פֿון צו מיט אויף ער זי עס זיי זיך",
    ),
}
"""By the name of the stemmer."""

AMBIGUOUS = word_set(
    "of was on do come war over non go he san we die los per son pro era need al co ten care bat van sense las el met "
    "lor han see le il der ir ho cap hi se li ce am von mint lo ma da du com ser les ve vil den tot door sen mis pole "
    "ein hat azt dia di della si jo ich till del una uma un dos das des ben kim nor tur bin men fast are but man mot "
    "under hit sin pot mes mais bus mang neng kas kur para por sur has dan yang kaum mana con sans cad hon hans ban "
    "mar mir como dove cosa nora nola mit kit hol zein quin kelle apa wo hur var kam jak kai kara eng kad ar"
)
"""Function words that are also English, or stand in names: "von der Leyen", "Los Angeles", "El Niño"."""
_OTHER_SCRIPTS = ("arabic", "armenian", "greek", "hindi", "nepali", "persian", "russian", "serbian", "tamil", "yiddish")


@cache
def function_words_of(stemmer: str) -> FunctionWords:
    """Return the function words of documents that are indexed with a stemmer; English ones if it has no language.

    A stemmer is chosen for Latin script. Documents in other scripts may stand beside those, so that the words in
    other scripts are always included.
    """
    language = {"porter": "english", "dutch_porter": "dutch", "none": "english"}.get(stemmer, stemmer)
    own = FUNCTION_WORDS[language]
    others = [FUNCTION_WORDS[name] for name in _OTHER_SCRIPTS]
    return FunctionWords(
        own.asking.union(*(_not_latin(one.asking) for one in others)),
        own.negations.union(*(_not_latin(one.negations) for one in others)),
        own.others.union(*(_not_latin(one.others) for one in others)),
    )


def _not_latin(group: frozenset[str]) -> frozenset[str]:
    return frozenset(word for word in group if "LATIN" not in unicodedata.name(word[0]))
