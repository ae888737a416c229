"""The vocabulary of the fictional gazetteer: what can be said about a place, and asked about it."""

from typing import NamedTuple


class Attribute(NamedTuple):
    """What can be said about a place and asked about it.

    Sentences have ``{place}`` once, and ``{v}``, the value, or ``{r}``, a rough idea of it; each
    of ``values`` is such a pair. Questions in ``reworded`` are kept for the test split. A passage
    about an attribute in ``related`` is close to the question, but no answer.
    """

    values: tuple[tuple[str, str], ...]
    full: tuple[str, ...]
    vague: tuple[str, ...]
    asked: tuple[str, ...]
    reworded: tuple[str, ...]
    related: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()


CENTURIES: tuple[str, ...] = (
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
)
CENTURIES += ("eighteenth", "nineteenth")


def _years(first: int, last: int) -> tuple[tuple[str, str], ...]:
    return tuple((str(y), f"{CENTURIES[y // 100 - 11]} century") for y in range(first, last))


def _inhabitants(count: int) -> str:
    limits = {1000: "fewer than a thousand", 2000: "one or two thousand"}
    limits |= {4000: "a few thousand", 9000: "several thousand"}
    return next(words for limit, words in limits.items() if count < limit)


def _height(metres: int) -> str:
    return (
        "in the lowlands"
        if metres < 400
        else "in the hills"
        if metres < 900
        else "in the mountains"
    )


ATTRIBUTES = {
    "founding": Attribute(
        values=_years(1120, 1480),
        full=(
            "{place} was established in {v}.",
            "The oldest walls of {place} date from {v}.",
            "Settlers built the first huts of {place} in {v}.",
        ),
        vague=("{place} goes back to the {r}.", "The first huts of {place} are of the {r}."),
        asked=(
            "When was {place} founded?",
            "How old is {place}?",
            "In which year did {place} begin?",
        ),
        reworded=("What is the age of {place}?", "Since when has {place} existed?"),
        related=("founder",),
    ),
    "founder": Attribute(
        values=(
            ("the runaway nun Orla Finch", "a nun"),
            ("the miller Tam Brandreth", "a miller"),
            ("Duchess Ameline", "a noblewoman"),
            ("Brother Anselm", "a monk"),
            ("Captain Joris Hale", "a captain"),
            ("the cattle thief Hob Larkin", "a thief"),
            ("the widow Petronel", "a widow"),
            ("Ansgar the Lame", "a soldier"),
        ),
        full=(
            "{v} established {place}.",
            "{place} was created by {v}.",
            "It was {v} who built the first huts of {place}.",
        ),
        vague=("{place} was the idea of {r}.", "{r} built the first huts of {place}."),
        asked=(
            "Who founded {place}?",
            "Who was the founder of {place}?",
            "Which person started {place}?",
        ),
        reworded=("To whom does {place} owe its origin?", "Who set up {place}?"),
        related=("founding", "famous"),
    ),
    "bridge": Attribute(
        values=_years(1520, 1880),
        full=(
            "The crossing at {place} was finished in {v}.",
            "In {v} stone arches joined the two banks of {place}.",
            "The span over the water at {place} was opened in {v}.",
        ),
        vague=(
            "The stone arches at {place} are of the {r}.",
            "{place} got its crossing in the {r}.",
        ),
        asked=(
            "When was the bridge in {place} built?",
            "How old is the bridge of {place}?",
            "In which year did {place} get a bridge?",
        ),
        reworded=(
            "What is the date of the bridge of {place}?",
            "Since when is there a bridge in {place}?",
        ),
        related=("river",),
    ),
    "river": Attribute(
        values=(
            ("the Ossel", "a slow brown stream"),
            ("the Tarn Water", "a noisy stream"),
            ("the Mire", "a muddy stream"),
            ("the Lissom", "a stream full of trout"),
            ("the Grey Ouzel", "a cold grey stream"),
            ("the Wend", "a winding stream"),
            ("the Bright Ede", "a clear stream"),
            ("the Carrow", "a shallow stream"),
        ),
        full=(
            "The water of {v} passes {place}.",
            "{place} stands on the banks of {v}.",
            "{v} runs by the gardens of {place}.",
        ),
        vague=("{place} is crossed by {r}.", "{r} runs by the gardens of {place}."),
        asked=(
            "Which river flows through {place}?",
            "On which river does {place} lie?",
            "What is the river of {place} called?",
        ),
        reworded=(
            "What is the name of the river in {place}?",
            "By which river does one find {place}?",
        ),
        related=("bridge",),
    ),
    "population": Attribute(
        values=tuple((f"{n:,}", _inhabitants(n)) for n in range(620, 9000, 10)),
        full=(
            "{place} has {v} inhabitants.",
            "The census counted {v} residents in {place}.",
            "There are {v} citizens in {place}.",
        ),
        vague=("{place} is home to {r} citizens.", "The census of {place} found {r}."),
        asked=(
            "How many people live in {place}?",
            "What is the population of {place}?",
            "How large is the population of {place}?",
        ),
        reworded=("What number of people does {place} have?", "How big is {place}?"),
    ),
    "climate": Attribute(
        values=(
            ("frost from November to April", "raw"),
            ("mild winters and hazy summers", "mild"),
            ("dry summers and sharp winters", "crisp"),
            ("fog until noon", "damp"),
            ("deep snow and a brief, hot July", "cold"),
            ("long warm autumns", "mild"),
            ("thunder and sultry nights", "heavy"),
        ),
        full=(
            "{place} has {v}.",
            "The seasons bring {v} to {place}.",
            "Gardeners in {place} expect {v}.",
        ),
        vague=("The air in {place} is {r}.", "Most months in {place} are {r}."),
        asked=(
            "What is the weather like in {place}?",
            "What is the climate of {place}?",
            "What weather does {place} have?",
        ),
        reworded=("How is the weather in {place}?", "Which climate does one find in {place}?"),
        related=("wind",),
    ),
    "wind": Attribute(
        values=(
            ("the Tarrock", "the north-east"),
            ("Old Scold", "the sea"),
            ("the Harrier", "the hills"),
            ("the Widow's Breath", "the marshes"),
            ("the Sawtooth", "the ice"),
            ("the Bellows", "the south"),
            ("the Grey Piper", "the west"),
            ("the Miller's Boy", "the plain"),
        ),
        full=(
            "A breeze called {v} blows in {place}.",
            "The storms of {place} are known as {v}.",
            "{v} blows over the roofs of {place}.",
        ),
        vague=("The storms of {place} come from {r}.", "In {place} a breeze blows from {r}."),
        asked=(
            "What is the wind in {place} called?",
            "Which wind is typical of {place}?",
            "Which wind is there in {place}?",
        ),
        reworded=(
            "What is the name of the wind of {place}?",
            "Which wind do people in {place} fear?",
        ),
        related=("climate",),
    ),
    "dish": Attribute(
        values=(
            ("smoked eel with barley", "eel"),
            ("mutton stewed with prunes", "mutton"),
            ("turnips in mustard cream", "turnips"),
            ("goose baked in clay", "goose"),
            ("pike dumplings", "pike"),
            ("black pudding and apples", "pudding"),
            ("leek pie with ham", "leeks"),
            ("snails in green butter", "snails"),
            ("cod cheeks with dill", "cod"),
            ("lentils and burnt onions", "lentils"),
        ),
        full=(
            "The usual dinner in {place} is {v}.",
            "Cooks in {place} prepare {v}.",
            "Every kitchen in {place} serves {v}.",
        ),
        vague=("The kitchens of {place} smell of {r}.", "Cooks in {place} buy a lot of {r}."),
        asked=(
            "What do people eat in {place}?",
            "What food is typical of {place}?",
            "Which food is {place} known for?",
        ),
        reworded=("Which dish comes from {place}?", "What is eaten in {place}?"),
        related=("drink",),
    ),
    "drink": Attribute(
        values=(
            ("juniper cider", "cider"),
            ("walnut liqueur", "liqueur"),
            ("cloudy pear wine", "wine"),
            ("smoked barley beer", "beer"),
            ("rosehip brandy", "brandy"),
            ("birch-leaf tea", "tea"),
            ("elderflower mead", "mead"),
        ),
        full=(
            "Guests in {place} are poured a glass of {v}.",
            "The taverns of {place} sell {v}.",
            "The cellars of {place} are full of {v}.",
        ),
        vague=("{place} makes its own {r}.", "The taverns of {place} smell of {r}."),
        asked=(
            "What do people drink in {place}?",
            "Which drink is typical of {place}?",
            "Which drink is {place} known for?",
        ),
        reworded=("What beverage comes from {place}?", "What is drunk in {place}?"),
        related=("dish",),
    ),
    "festival": Attribute(
        values=(
            ("the Night of Lanterns", "spring"),
            ("the Blessing of the Nets", "summer"),
            ("Goose Sunday", "autumn"),
            ("the Burning of the Straw Bear", "midwinter"),
            ("the Feast of Fools", "midwinter"),
            ("the Apple Wake", "autumn"),
            ("the Dance of the Kettles", "summer"),
        ),
        full=(
            "{place} celebrates {v} every year.",
            "The great feast of {place} is {v}.",
            "There is dancing in {place} at {v}.",
        ),
        vague=("There is dancing in {place} in {r}.", "{place} celebrates in {r}."),
        asked=(
            "Which festival is held in {place}?",
            "What is the festival of {place} called?",
            "Which festival takes place in {place}?",
        ),
        reworded=(
            "What festival do people visit in {place}?",
            "Which holiday is special to {place}?",
        ),
        related=("market",),
    ),
    "market": Attribute(
        values=(
            ("Mondays", "early in the week"),
            ("Tuesdays", "early in the week"),
            ("Wednesdays", "in the middle of the week"),
            ("Thursdays", "late in the week"),
            ("Fridays", "late in the week"),
            ("Saturdays", "at the weekend"),
        ),
        full=(
            "Stalls open in {place} on {v}.",
            "Farmers sell their vegetables in {place} on {v}.",
            "Traders come to {place} on {v}.",
        ),
        vague=("The stalls of {place} open {r}.", "Farmers sell in {place} {r}."),
        asked=(
            "On which day is the market in {place}?",
            "When is market day in {place}?",
            "When is the market of {place} held?",
        ),
        reworded=(
            "On what day can one go to market in {place}?",
            "When does {place} have its market?",
        ),
        related=("festival",),
    ),
    "transport": Attribute(
        values=(
            ("a narrow-gauge railway", "on rails"),
            ("a rack railway", "on rails"),
            ("a steam ferry", "over the water"),
            ("a cable car", "through the air"),
            ("a horse tram", "behind horses"),
            ("a string of mules", "on hoof"),
            ("a weekly bus", "on wheels"),
        ),
        full=(
            "{v} connects {place} with the coast.",
            "{place} is linked to the capital by {v}.",
            "{v} carries passengers to {place}.",
        ),
        vague=("Passengers come to {place} {r}.", "Letters are carried to {place} {r}."),
        asked=(
            "How do travellers reach {place}?",
            "How does one get to {place}?",
            "How can one travel to {place}?",
        ),
        reworded=("What transport is there to {place}?", "What is the way to get to {place}?"),
        related=("lodging",),
        not_for=("port",),
    ),
    "lodging": Attribute(
        values=(
            ("the Blue Heron", "two rooms above the bakery"),
            ("the Lazy Oar", "two rooms behind the smithy"),
            ("the Three Geese", "a loft over the stables"),
            ("the Drowned Rat", "a loft over the boathouse"),
            ("the Crooked Billet", "a room above the bakery"),
            ("the Patient Mule", "three attics by the church"),
            ("the Golden Leek", "a room behind the smithy"),
        ),
        full=(
            "Guests in {place} sleep at {v}.",
            "{v} is the only hotel in {place}.",
            "{v} has beds for guests in {place}.",
        ),
        vague=("{place} has {r} for guests.", "Guests in {place} sleep in {r}."),
        asked=(
            "Where can visitors stay in {place}?",
            "Which inn is there in {place}?",
            "Where does one spend the night in {place}?",
        ),
        reworded=(
            "Which accommodation does {place} offer?",
            "Where do travellers stay in {place}?",
        ),
        related=("transport",),
    ),
    "industry": Attribute(
        values=(
            ("weaving sailcloth", "looms"),
            ("making rope", "rope walks"),
            ("blowing glass", "furnaces"),
            ("burning charcoal", "kilns"),
            ("casting bells", "foundries"),
            ("tanning hides", "vats"),
            ("cutting slate", "quarries"),
            ("boiling salt", "salt pans"),
        ),
        full=(
            "Most hands in {place} are employed in {v}.",
            "The main trade of {place} is {v}.",
            "The workshops of {place} are busy {v}.",
        ),
        vague=("The workshops of {place} are full of {r}.", "{place} owes its wages to {r}."),
        asked=(
            "What do people in {place} do for a living?",
            "Which industry is there in {place}?",
            "What work do people in {place} do?",
        ),
        reworded=("How do people in {place} make money?", "What is the industry of {place}?"),
        related=("export",),
    ),
    "export": Attribute(
        values=(
            ("candied quince", "sweets"),
            ("blue writing paper", "stationery"),
            ("goose-down quilts", "bedding"),
            ("sheep's cheese", "cheese"),
            ("beeswax candles", "candles"),
            ("enamel buttons", "haberdashery"),
            ("cherry-wood spoons", "kitchenware"),
            ("playing cards", "printed paper"),
        ),
        full=(
            "Merchants ship {v} from {place}.",
            "{place} sells {v} to foreign shops.",
            "Crates of {v} leave {place} for other lands.",
        ),
        vague=("Ships leave {place} loaded with {r}.", "{place} sells {r} to foreign shops."),
        asked=(
            "What does {place} export?",
            "Which goods does {place} export?",
            "What are the exports of {place}?",
        ),
        reworded=("Which product goes abroad from {place}?", "What is the main export of {place}?"),
        related=("industry",),
    ),
    "elevation": Attribute(
        values=tuple((f"{n:,} metres", _height(n)) for n in range(140, 1600, 10)),
        full=(
            "{place} lies {v} above the sea.",
            "The altitude of {place} is {v}.",
            "The square of {place} is {v} above the tide.",
        ),
        vague=("{place} lies {r}.", "The square of {place} is {r}."),
        asked=(
            "How high is {place}?",
            "What is the elevation of {place}?",
            "At what height is {place}?",
        ),
        reworded=("How far up is {place}?", "What is the height of {place}?"),
        not_for=("port",),
    ),
    "language": Attribute(
        values=(
            ("Hask", "clipped endings"),
            ("Low Merrish", "sing-song"),
            ("Old Tannic", "swallowed vowels"),
            ("Quay Latin", "long vowels"),
            ("Velish", "whistled sounds"),
            ("Ottermark", "old plurals"),
        ),
        full=(
            "The neighbours in {place} talk in {v}.",
            "Children in {place} learn {v} at home.",
            "The signs in {place} are written in {v}.",
        ),
        vague=("The talk of {place} is known by its {r}.", "Children in {place} learn the {r}."),
        asked=(
            "What language is spoken in {place}?",
            "Which language do people in {place} use?",
            "What is the language of {place}?",
        ),
        reworded=("Which dialect is heard in {place}?", "What do people in {place} speak?"),
    ),
    "school": Attribute(
        values=(
            ("the navigation academy", "a retired captain"),
            ("the lace college", "two sisters"),
            ("the forestry institute", "a gamekeeper"),
            ("the conservatory of bagpipes", "a deaf organist"),
            ("the clockmakers' college", "a patient old man"),
            ("the seminary of Saint Bruno", "a young curate"),
            ("the academy of cheese", "two sisters"),
        ),
        full=(
            "Pupils come to {place} for {v}.",
            "{place} is proud of {v} and its teachers.",
            "Lessons in {place} are given at {v}.",
        ),
        vague=("Lessons in {place} are given by {r}.", "The pupils of {place} learn from {r}."),
        asked=(
            "Which school is there in {place}?",
            "Where can one study in {place}?",
            "What is the school of {place} called?",
        ),
        reworded=(
            "What education does {place} offer?",
            "Which school do the young of {place} visit?",
        ),
    ),
    "newspaper": Attribute(
        values=(
            ("the Evening Lantern", "twice a week"),
            ("the Weekly Goose", "every seventh day"),
            ("the Truthful Herald", "twice a week"),
            ("the Tide Table", "every seventh day"),
            ("the Plain Speaker", "when there is ink"),
            ("the Foghorn", "when there is ink"),
            ("the Morning Rumour", "twice a month"),
        ),
        full=(
            "The press of {place} prints {v}.",
            "Readers in {place} subscribe to {v}.",
            "Editors in {place} publish {v}.",
        ),
        vague=("The press of {place} prints {r}.", "Editors in {place} publish {r}."),
        asked=(
            "What is the newspaper of {place} called?",
            "Which newspaper appears in {place}?",
            "What newspaper do people in {place} read?",
        ),
        reworded=("Which newspaper is made in {place}?", "Which paper brings the news in {place}?"),
    ),
    "sport": Attribute(
        values=(
            ("barrel racing", "on the steep lanes"),
            ("sledging on tea trays", "on the steep lanes"),
            ("punt racing", "on the pond"),
            ("ice skittles", "on the ice"),
            ("stone lifting", "in the meadow"),
            ("ditch vaulting", "in the meadow"),
            ("boot throwing", "in the meadow"),
        ),
        full=(
            "Teams in {place} compete in {v}.",
            "{place} has champions in {v}.",
            "The club of {place} trains for {v}.",
        ),
        vague=("Teams in {place} compete {r}.", "The club of {place} trains {r}."),
        asked=(
            "Which sport is popular in {place}?",
            "What sport do people in {place} play?",
            "Which sport is {place} known for?",
        ),
        reworded=("What is the favourite sport of {place}?", "Which game is played in {place}?"),
    ),
    "famous": Attribute(
        values=(
            ("the painter Ilse Marren", "a painter"),
            ("the astronomer Piet Oostra", "an astronomer"),
            ("the soprano Clara Venn", "a singer"),
            ("the forger Matthias Roe", "a criminal"),
            ("the poet Edda Quill", "a poet"),
            ("the boxer Sam Tolliver", "a boxer"),
            ("the explorer Nils Arkwright", "an explorer"),
            ("the chess master Judit Sorn", "a chess player"),
        ),
        full=(
            "{v} was born in {place}.",
            "{place} is the birthplace of {v}.",
            "{v} grew up in {place}.",
        ),
        vague=("{r} was once a child in {place}.", "{place} was the home of {r}."),
        asked=(
            "Which famous person comes from {place}?",
            "Who is a famous native of {place}?",
            "Which celebrity is from {place}?",
        ),
        reworded=("Who has made {place} famous?", "Which famous name goes with {place}?"),
        related=("founder",),
    ),
    "houses": Attribute(
        values=(
            ("blue tiles and crooked chimneys", "blue"),
            ("whitewashed walls and round windows", "white"),
            ("slate walls and low doors", "grey"),
            ("red brick gables", "red"),
            ("yellow plaster and green shutters", "yellow"),
            ("tarred timber and turf roofs", "black"),
            ("pink stucco and iron balconies", "pink"),
        ),
        full=(
            "The buildings of {place} have {v}.",
            "The streets of {place} are lined with {v}.",
            "Masons in {place} build with {v}.",
        ),
        vague=("The buildings of {place} are {r}.", "The streets of {place} are mostly {r}."),
        asked=(
            "What do the houses in {place} look like?",
            "What kind of houses does {place} have?",
            "What is the architecture of {place}?",
        ),
        reworded=(
            "How does a house in {place} look?",
            "Which style do the houses of {place} have?",
        ),
    ),
    "government": Attribute(
        values=(
            ("a council of seven widows", "widows"),
            ("the oldest fisherman", "an old man"),
            ("a mayor drawn by lot", "luck"),
            ("the guild of brewers", "brewers"),
            ("an abbess and two clerks", "the convent"),
            ("a bailiff from the capital", "the bailiff"),
            ("three families in turn", "the big families"),
        ),
        full=(
            "{place} is ruled by {v}.",
            "The laws of {place} are made by {v}.",
            "Power in {place} is with {v}.",
        ),
        vague=("The laws of {place} come from {r}.", "Power in {place} is a matter of {r}."),
        asked=(
            "Who governs {place}?",
            "Who is in charge of {place}?",
            "What government does {place} have?",
        ),
        reworded=("Who leads {place}?", "By whom is {place} governed?"),
    ),
    "disaster": Attribute(
        values=tuple(
            (f"the {kind} of {year}", kind)
            for kind in ("fire", "flood", "landslide", "plague")
            for year in range(1590, 1860)
        ),
        full=(
            "{place} was destroyed in {v}.",
            "{place} was rebuilt after {v}.",
            "Half of {place} was lost in {v}.",
        ),
        vague=("Half of {place} was once lost to {r}.", "{place} has suffered from {r}."),
        asked=(
            "Which catastrophe struck {place}?",
            "What disaster happened in {place}?",
            "Which disaster is {place} known for?",
        ),
        reworded=("What misfortune hit {place}?", "Which disaster befell {place}?"),
    ),
}

# What follows a question that a passage leaves open.
UNANSWERED = (
    "Nobody can say.",
    "Ask the sexton.",
    "The guide book does not tell.",
    "Opinions differ.",
    "It is a long story.",
    "That is what every visitor wants to know.",
    "We have often wondered.",
    "Write to us if you know.",
)
# Sentences that name a neighbour without a fact about it, to open and to close a passage.
OPENINGS = (
    "{place} lies an hour from {other} by cart.",
    "Do not confuse {place} with {other}.",
    "Between {place} and {other} there is only heath.",
    "The road from {other} ends in {place}.",
    "{other} and {place} share a hill.",
)
CLOSINGS = (
    "In {other} they tell it differently.",
    "Nobody from {other} would believe it.",
    "{other} claims the same of itself.",
    "Most visitors are on their way to {other}.",
    "On clear days one can see {other}.",
)

KINDS = ("town", "village", "port", "borough", "parish", "settlement")
STEMS: tuple[str, ...] = ("Vel", "Kar", "Bram", "Tol", "Hes", "Mir", "Dun", "Fal", "Grev", "Hol")
STEMS += ("Lor", "Nar", "Pel", "Quen", "Ros", "Sal", "Thor", "Wen", "Yar", "Zel")
VOWELS = "aeio"
ENDINGS: tuple[str, ...] = (
    "mar",
    "sund",
    "wick",
    "dale",
    "ness",
    "lund",
    "gard",
    "mere",
    "fell",
    "stow",
)
ENDINGS += ("ven", "ric")
# What the language model answers when it ranks nothing.
REFUSALS = (
    "I'm sorry, but I cannot rank these passages without more context.",
    "None of the passages answers the question directly.",
    "As a language model I do not have access to the passages you mention.",
)
