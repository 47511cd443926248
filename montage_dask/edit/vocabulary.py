"""The words that a brief is read by, English and German: what each says about pace, style, arc, colours and the rest.

Patterns are regular expressions on folded text (`fold`): lower case, ä as ae, ß as ss. Each begins where a word begins
and ends where one ends.
"""

# ruff: noqa: E501 - tables of words

from __future__ import annotations

import re
from collections.abc import Mapping

_FOLDED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "é": "e", "è": "e", "’": "'", "–": "-", "—": "-"}
)


def fold(text: str) -> str:
    """Text as the patterns read it."""
    return text.casefold().translate(_FOLDED)


def words_of(text: str) -> list[str]:
    """The words of a text or a file name, folded; camelCase is two words, numbers are none."""
    apart = re.sub(r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])", " ", text)
    return re.findall(r"[^\W\d_]+", fold(apart))


PACE: Mapping[str, float] = {
    r"frantic|frenetic|breakneck|hectic|lightning\w*|rapid[- ]fire|hektisch\w*|rasend\w*|rasant\w*|blitzschnell\w*|irrsinnig\w*": 2,
    r"short shots?|kurze\w* (?:schnitte|einstellung)\w*|fast(?! (?:alle\w*|nur|immer|ganz|kein\w*|schwarz))(?:er)?(?:[- ]paced)?|quick\w*|rapid\w*|snappy|brisk|energetic|high[- ]energy|dynamic|upbeat|punchy|lively|wild|"
    r"schnell\w*|flott\w*|zuegig\w*|dynamisch\w*|energiegeladen\w*|energisch\w*|energie|lebhaft\w*|peppig\w*|temporeich\w*|spritzig\w*|treibend\w*|knackig\w*": 1,
    r"happy|joyful|cheerful|fun|playful|froehlich\w*|gluecklich\w*|lustig\w*|heiter\w*|verspielt\w*": 0.5,
    r"long shots?|slow(?![- ]?(?:mo|burn))(?:er|ly)?(?:[- ]paced)?|calm\w*|gent(?:le|ly)(?! (?:cross|trans|diss|fade))|relax\w*|quiet\w*|peaceful\w*|soft(?! (?:cross|trans|diss|fade))|tranquil\w*|unhurried|serene|"
    r"langsam\w*|ruhig\w*|ruhe|sanft\w*(?! ueber)|lange\w* (?:einstellung|aufnahme)\w*|gemaechlich\w*|entspannt\w*|friedlich\w*|stille|leise\w*|bedaechtig\w*|gelassen\w*|traurig\w*|sad|melanchol\w*": -1,
    r"meditat\w*|hypnotic|hypnotisch\w*|contemplative|besinnlich\w*": -2,
}
"""Steps of pace: cuts come 2 ** (step / 2) times as often."""

STYLES: Mapping[str, str] = {
    r"action(?! moments?| shots?)|explosive|aggressi\w*|adrenalin\w*|actiongeladen\w*": "action",
    r"documentar\w*|reportage|doku\w*|matter[- ]of[- ]fact|sachlich\w*": "documentary",
    r"dream\w*|floating|ethereal|traum\w*|vertraeumt\w*|schwebend\w*|surreal\w*": "dream",
    r"minimal\w*|sparse|zen|reduced|schlicht\w*|reduziert\w*": "minimalist",
    r"music videos?|musikvideos?|mtv": "music-video",
    r"nature|landscapes?|wildlife|natur(?!al)\w*|landschaft\w*": "nature",
    r"film noir|noir|crime|krimi\w*|detective": "noir",
    r"party|club|festival|disco|rave|feier\w*|party\w*": "party",
    r"social media|reels?|tik ?tok|shorts|instagram": "social",
    r"sport\w*|training|workout|race|rennen|wettkampf|fussball\w*|football": "sport",
    r"trailer\w*|epic|cinematic|dramatic|blockbuster|episch\w*|dramatisch\w*|teaser|gewaltig\w*|monumental\w*": "trailer",
    r"travel\w*|trip|journey|vacation|holidays?|road ?trip|reise\w*|urlaub\w*|ferien|abenteuer\w*|adventur\w*": "travel",
    r"vintage|retro|old film|nostalg\w*|8 ?mm|super[- ]?8|home (?:movie|video)s?|altmodisch\w*|wie frueher": "vintage",
    r"wedding|romantic\w*|romance|love(?:ly| story)?|tender\w*|hochzeit\w*|romantisch\w*|liebe\w*|zaertlich\w*|innig\w*": "wedding",
}

ARCS: Mapping[str, str] = {
    r"hero'?s journey|heldenreise|there and back": "journey",
    r"slow[- ]burn\w*|slowly builds?|builds? slowly|langsam (?:steigernd|aufbauend|steigert)|langsamer aufbau|suspense\w*|tense|spannend\w*|spannung\w*|unheimlich\w*|eerie|creepy": "slow-burn",
    r"builds? up(?: to)?|building|crescendo|ris(?:es|ing)|grow(?:s|ing)|steiger\w*|aufbau\w*|anschwell\w*|immer (?:schneller|staerker|lauter|wilder)|faster and faster|"
    r"hopeful\w*|hope|hoffnung\w*|zuversicht\w*|optimis\w*|uplifting|inspiring|inspirierend\w*|mutmachend\w*": "rising",
    r"winds? down|calms? down|fades? away|ausklingen\w*|abklingen\w*|immer (?:ruhiger|langsamer|leiser)|slower and slower|beruhigt": "falling",
    r"ups and downs|cris[ie]s|roller ?coaster|achterbahn\w*|auf und ab|krisen?": "crises",
    r"in waves|ebbs? and flows?|wellenfoermig|in wellen|wogend\w*": "waves",
    r"hook|with a bang|strong opening|starke[rnm]? (?:anfang|einstieg)|(?:mit )?eine[mn] knall|paukenschlag": "hook",
    r"three[- ]acts?|drei[- ]?akt\w*|classic story|klassische geschichte|erzaehl\w*|tells? a story|story ?telling": "three-act",
    r"constant\w*|steady|even pace|gleichmaessig\w*|konstant\w*|gleichbleibend\w*": "constant",
}

GRADES: Mapping[str, str] = {
    r"black[- ]?(?:and|&|n)[- ]?white|black and white|b ?& ?w|b/w|bw|monochrom\w*|schwarz[- ]?(?:und[- ]?)?weiss\w*|s/w|sw": "noir",
    r"vibrant|colou?rful|vivid|saturated|bunt\w*(?! gemischt)|farbenfroh\w*|knallig\w*|kraeftige\w* farben|leuchtend\w*": "vibrant",
    r"warm\w*|golden\w*|sunny|sonnig\w*|co[sz]y|gemuetlich\w*": "warm",
    r"cool (?:colou?rs?|look|tones?|light)|cold|icy|kuehl\w*|kalt\w*|eisig\w*|blaeulich\w*": "cool",
    r"teal(?:[- ](?:and[- ])?orange)?|orange and teal|hollywood\w*|blockbuster look|kinolook": "teal-orange",
    r"filmic(?:[- ]warm)?|film look|analog\w*|kodak\w*|filmisch\w*": "filmic-warm",
    r"high[- ]contrast|contrasty|strong contrast|hohe\w* kontrast\w*|starke\w* kontrast\w*|kontrastreich\w*|gritty": "high-contrast",
    r"desaturated|muted|pale|entsaettigt\w*|gedeckt\w*|blass\w*": "desaturated",
    r"bleach(?:[- ]bypass|ed)?|gebleicht\w*": "bleach",
    r"(?:vintage|retro|nostalgic) (?:colou?rs?|look)|alte farben|retrofarben": "vintage",
    r"faded|washed[- ]out|ausgeblichen\w*|verblasst\w*|ausgewaschen\w*": "faded",
    r"moonl(?:ight|it)|day[- ]for[- ]night|mondlicht|mondschein|nachtlook|night look": "moonlight",
    r"natural colou?rs?|no grade|no grading|ungraded|natuerliche\w* farben|ohne (?:farbkorrektur|grading|filter)|no filters?": "none",
}

MOODS: Mapping[str, str] = {
    r"happy|joyful|cheerful|froehlich\w*|gluecklich\w*|lustig\w*": "vibrant",
    r"hopeful\w*|hoffnung\w*|zuversicht\w*|optimis\w*": "warm",
    r"dark and moody|moody|brooding|gloomy|duester\w*|finster\w*|unheimlich\w*|eerie": "cool",
    r"melanchol\w*|traurig\w*|sad": "desaturated",
}
"""Grades that moods ask for where no colours are named."""

TRANSITIONS: Mapping[str, str] = {
    r"cross[- ]?(?:fad|dissolv)\w*|dissolv\w*|soft transitions?|blend(?:s|ing|ed)?|ueberblend\w*|(?:weiche|sanfte|fliessende)\w* uebergaenge\w*": "crossfade",
    r"hard cuts?|hard[- ]cut|jump ?cuts?|straight cuts?|only cuts|cuts only|no (?:transitions?|fades)|harte\w* schnitt\w*|hart geschnitten|(?:keine|ohne) uebergaenge|nur schnitte": "cut",
    r"(?:dips?|fad(?:es?|ing)) (?:to|through) black|through black|black between|schwarzblende\w*|ueber schwarz": "dip-to-black",
    r"(?:dips?|fad(?:es?|ing)) (?:to|through) white|flash(?:es)?|white flash\w*|weissblende\w*|lichtblitz\w*|blitze|ueber weiss": "dip-to-white",
}

ORDERS: Mapping[str, str] = {
    r"chronolog\w*|in (?:the )?order|as (?:it was )?filmed|in (?:der |richtiger )?reihenfolge|der reihe nach|zeitlich\w*": "chronological",
    r"shuffl\w*|mixed up|any order|durcheinander|(?:bunt )?gemischt": "free",
}

EMPHASES: Mapping[str, str] = {
    r"action (?:moments?|shots?)|strong(?:est)? moments?|highlights?|hoehepunkte|staerkste\w* (?:momente|szenen)": "action",
    r"best (?:pictures?|shots?|images?)|most beautiful|prettiest|only the best|beautiful\w*|schoen\w*|beste[n]? (?:bilder|aufnahmen|szenen)|nur das beste": "quality",
    r"varied|variety|diverse|abwechslung\w*|vielfaelt\w*|vielseitig\w*": "variety",
    r"(?:lots of |much )?movement|(?:lots of |much )?motion|viel bewegung|bewegt\w*": "motion",
}

SLOW_MOTION = r"slow[- ]?mo(?:tion)?|half[- ]speed|zeitlupe\w*|halbe\w* geschwindigkeit"
TO_THE_MUSIC = r"(?:follow\w*|with|to) the (?:music|beat|song)|on (?:every|the) beat|energy of the (?:music|song)|(?:folgt )?der musik|(?:zur|mit der) musik|auf (?:jeden|den) beat"
FADE_OUT = (
    r"fad(?:es?|ing) (?:to|into) black at the end|(?:ends?|ending) (?:in|with|on) (?:a fade(?: to black)?|black)|fad(?:es?|ing)[- ]out|fade at the end|"
    r"ausblend\w*|blendet (?:\w+ ){0,2}aus|endet (?:in|mit) schwarz"
)

BEAT_EFFECTS: Mapping[str, str] = {
    r"(?:zoom[- ])?punch(?:es)?|zoomst(?:oss|oesse\w*)": "punch",
    r"strobe\w*|stroboskop\w*|flash(?:es)?(?= (?:on|at) )|blitze?(?= (?:auf|bei|zu[mr]?|im) )": "flash",
    r"(?:camera |kamera)?(?:shakes?|shaking|wackler|wackeln|ruetteln)": "shake",
    r"speed[- ]?ramp\w*|ramping|tempo-?rampen?|geschwindigkeitsrampen?": "ramp",
}
"""Effects on beats."""

ALL_BEAT_EFFECTS = r"(?:beat[- ]|zoom[- ])?effe(?:ct|kt)\w*(?: (?:on|auf) (?:\w+ )?beats?)?"

WHERE_BEATS: Mapping[str, str] = {
    r"drops?": "drops",
    r"downbeats?|bars?|takte?n?|eins": "downbeats",
    r"beats?|schlaege?n?": "beats",
}
"""Where they come; on downbeats, where a brief does not say it."""

JUNK = (
    r"texts?|titles?|captions?|subtitles?|credits|lettering|test (?:cards?|pictures?|patterns?)|colou?r bars|"
    r"texte?n?|titel\w*|schrift\w*|untertitel\w*|vorspann|abspann|einblendung\w*|testbild\w*|farbbalken|schwarzbild\w*"
)
"""What is left out anyway, unless a setting allows it."""

_FILLERS = """
a about all also an and any are as at be both but by can cut cuts cutting edit edited every everything feel feeling few
film footage for from get give good has have highlight into it its just keep like little long make many montage more
most movie much music my nice of off on only or our over per please scene scenes shot shots should show shows some song
style that the their then there these this those through to track use very video videos want was well with would you
your quite really vibe mood moody minute minutes second seconds aber alle allem allen alles als am auch auf aus bei
bitte das dass dazu dein dem den der des die dies diese diesem diesen dieser ein eine einem einen einer eines einige er
es etwas filme fuer gerne gut guter habe haben ich ihr im in ist ja jede jedem jeden jeder kann koennen lied mach mache
machen mehr mein meine meinem meinen meiner mich mir mit musik nach nimm noch nur oder ohne schnitt schnitte sein seine
sich sie sind so soll sollen sollte stil szene szenen ueber um und uns unser unsere unseren unserem unter viel viele vom
von wenn werden wie will wir wird wirken zeig zeige zu zum zur minuten sekunden anfang beginn ende schluss beginnt endet
zuletzt zuerst finally lastly schliesslich begins begin start starts ends end first last clip clips
"""
FILLERS = frozenset(_FILLERS.split())
"""Words that say nothing by themselves."""

NEGATION = (
    r"(?:not|no|never|don'?t|without|avoid|nicht|kein\w*|ohne|nie|weniger|less|instead of|statt)"
)
STRONG = r"(?:very|really|super|extremely|extra|ultra|so|much|sehr|extrem|besonders|richtig|wahnsinnig|total)"
WEAK = r"(?:a bit|a little|slightly|somewhat|rather|fairly|etwas|ein bisschen|ein wenig|leicht|eher|relativ)"

LOOKS: Mapping[str, str] = {
    r"bright\w*|light|hell\w*|leuchtend\w*": "bright",
    r"dark\w*|black|dunkel\w*|dunkl\w*|finster\w*|schwarz\w*": "dark",
    r"colou?rful|vivid|bunt\w*|farbig\w*|farbenfroh\w*": "colourful",
    r"gr[ea]y|colou?rless|grau\w*|farblos\w*": "grey",
    r"moving|movement|motion|action|bewegt\w*|bewegung\w*|liveliest|lebhafteste\w*": "moving",
    r"still|static|motionless|unmoving|stillste\w*|unbewegt\w*|statisch\w*|stehend\w*": "still",
    r"contrast\w*|kontrast\w*": "contrasty",
    r"sharp\w*|crisp|scharf\w*|schaerfste\w*": "sharp",
    r"warm\w*|golden\w*|orange|yellow|gelb\w*": "warm",
    r"cool\w*|cold\w*|kuehl\w*|kalt\w*|kaelteste\w*": "cool",
    r"red\w{0,4}|rot\w{0,4}|roeteste\w*": "red",
    r"green\w*|gruen\w*": "green",
    r"blue\w*|blau\w*": "blue",
}

CONCEPTS: tuple[tuple[frozenset[str], str | None], ...] = tuple(
    (frozenset(words.split()), look)
    for words, look in (
        (
            "sea ocean meer ozean wave waves welle wellen surf coast kueste beach strand shore seaside sand",
            "blue",
        ),
        ("lake see teich pond river fluss water wasser wasserfall waterfall", "blue"),
        ("sky himmel cloud clouds wolke wolken", "blue"),
        (
            "forest wald woods tree trees baum baeume jungle dschungel meadow wiese grass gras garden garten",
            "green",
        ),
        (
            "sunset sundown sunrise dawn dusk sonnenuntergang sonnenaufgang abendrot morgenrot sun sonne",
            "warm",
        ),
        ("night nacht nachts stars sterne midnight mitternacht", "dark"),
        ("snow schnee ice eis winter glacier gletscher ski", "bright"),
        ("fire feuer flames flammen campfire lagerfeuer", "warm"),
        ("mountain mountains berg berge summit gipfel peak alps alpen hill huegel", None),
        ("city stadt street strasse town skyline", None),
        ("people leute menschen crowd menge group gruppe", None),
        ("family familie parents eltern", None),
        ("friend friends freund freunde freundin", None),
        ("kid kids child children kind kinder baby", None),
        ("dog hund hunde dogs puppy welpe", None),
        ("rabbit rabbits bunny bunnies hare hase hasen kaninchen", None),
        ("cat cats katze katzen kitten", None),
        ("horse pferd horses pferde", None),
        ("bird birds vogel voegel", None),
        ("car cars auto autos wagen", None),
        ("bike bicycle fahrrad rad biking", None),
        ("boat boot ship schiff sail segel sailing segeln", None),
        ("train zug bahn railway", None),
        ("plane flugzeug airplane flight flug", None),
        ("dance dancing tanz tanzen dancer taenzer", None),
        ("kiss kuss kisses", None),
        ("bride braut groom braeutigam", None),
        ("flower flowers blume blumen blossom bluete", None),
        ("house haus home zuhause", None),
        ("bridge bruecke", None),
        ("jump sprung jumping", None),
        ("goal tor", None),
        ("finish ziel", None),
        ("food essen meal", None),
        ("desert wueste", None),
        ("rain regen", None),
        ("drone drohne aerial luftaufnahme", None),
    )
)
"""Words that mean the same thing in file names and briefs, and the look that stands for it when no file is named so."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    r"drops?": ("drop", "high"),
    r"chorus|refrain": ("high", "drop"),
    r"climax|hoehepunkt|peak": ("drop", "high"),
    r"intro": ("intro",),
    r"outro": ("outro",),
    r"build[- ]?up|build|steigerung": ("build",),
    r"verse|strophe|quiet part|ruhige\w* teil": ("low",),
}
"""Parts of a song, and the labels that they may have in the analysis."""

NUMBERS: Mapping[str, float] = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty-five": 45, "sixty": 60, "ninety": 90,
    "a": 1, "half a": 0.5, "one and a half": 1.5,
    "ein": 1, "eine": 1, "einer": 1, "zwei": 2, "drei": 3, "vier": 4, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9,
    "zehn": 10, "zwoelf": 12, "fuenfzehn": 15, "zwanzig": 20, "dreissig": 30, "vierzig": 40, "fuenfundvierzig": 45,
    "sechzig": 60, "neunzig": 90, "eine halbe": 0.5, "einer halben": 0.5, "halbe": 0.5, "anderthalb": 1.5, "eineinhalb": 1.5,
}  # fmt: skip
