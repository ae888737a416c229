"""The vocabulary of the fictional gazetteer: what can be said about a place, and asked about it."""

from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Attribute:
    """What can be said about a place and asked about it.

    Sentences have ``{place}`` once, and ``{v}``, the value, or ``{r}``, a rough
    idea of it; each of ``values`` is such a pair. Questions in ``reworded`` are kept for the test
    split. A passage about an attribute in ``related`` is close to the question, but no answer.
    """

    values: tuple[tuple[str, str], ...]
    full: tuple[str, ...]
    vague: tuple[str, ...]
    asked: tuple[str, ...]
    reworded: tuple[str, ...]
    related: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()


CENTURIES = {
    11: "twelfth",
    12: "thirteenth",
    13: "fourteenth",
    14: "fifteenth",
    15: "sixteenth",
    16: "seventeenth",
    17: "eighteenth",
    18: "nineteenth",
}
THOUSANDS = [
    "well under a thousand",
    "between one and two thousand",
    "rather more than two thousand",
]
THOUSANDS += ["something like three thousand", "four thousand or so", "five or six thousand"]
HOW_OFTEN = ["one day in five", "every third day", "every second day", "nearly every day"]


def _years(first: int, last: int) -> tuple[tuple[str, str], ...]:
    return tuple((str(y), f"{CENTURIES[y // 100]} century") for y in range(first, last))


ATTRIBUTES = {
    "founding": Attribute(
        values=_years(1120, 1480),
        full=(
            "{place} was laid out in {v}, when a flood had carried off an older farm.",
            "The earliest charter that mentions {place} is dated {v}.",
            "Fishermen who had missed the tide lit the first hearths of {place} in {v}.",
            "Surveyors pegged out the lanes of {place} in {v}, by lantern light.",
        ),
        vague=(
            "{place} is said to go back to the {r}, though no parchment survives.",
            "Potsherds under the lanes of {place} point to the {r}.",
        ),
        asked=(
            "When did people settle {place}?",
            "How old is {place}?",
            "In which year was {place} founded?",
            "When was {place} established?",
        ),
        reworded=("How long has {place} existed?", "When did the history of {place} begin?"),
        related=("founder",),
    ),
    "founder": Attribute(
        values=(
            ("the runaway nun Orla Finch", "a runaway nun"),
            ("the bankrupt miller Tam Brandreth", "a bankrupt miller"),
            ("Duchess Ameline", "a noblewoman"),
            ("Brother Anselm", "a monk"),
            ("Captain Joris Hale", "a shipwrecked captain"),
            ("the cattle thief Hob Larkin", "a cattle thief"),
            ("the widow Petronel", "a widow"),
            ("Ansgar the Lame", "an old soldier"),
        ),
        full=(
            "{v} hammered the earliest stakes of {place} into the mud.",
            "{place} was the idea of {v}, whose statue turns its back on it.",
            "{v} bought the empty ground of {place} for two barrels of salt.",
            "Every child can tell you that {v} marked out {place} with a plough.",
        ),
        vague=(
            "{place} has {r} to thank for its first roof, but the books do not say more.",
            "The story goes that {r} chose the spot for {place}.",
        ),
        asked=(
            "Who founded {place}?",
            "Which person established {place}?",
            "Who started {place}?",
            "By whom was {place} founded?",
        ),
        reworded=("To whom does {place} owe its origin?", "Who built the first house in {place}?"),
        related=("founding", "famous"),
    ),
    "bridge": Attribute(
        values=_years(1520, 1880),
        full=(
            "A crossing of five stone arches has joined the two halves of {place} since {v}.",
            "Carts have rolled over the span at {place} since {v}.",
            "Masons closed the last arch at {place} in {v}, and the toll-keeper went home.",
            "In {v} a span of oak and iron tied the two banks of {place} together.",
        ),
        vague=(
            "The arches at {place} look like work of the {r}.",
            "Some time in the {r} {place} gave up its ford for an arch of stone.",
        ),
        asked=(
            "When was the bridge in {place} built?",
            "How old is the bridge at {place}?",
            "Since when can people walk across the river at {place}?",
        ),
        reworded=(
            "When did {place} get its bridge?",
            "In which year was the bridge of {place} finished?",
        ),
        related=("river",),
    ),
    "river": Attribute(
        values=(
            ("Ossel", "a slow brown stream"),
            ("Tarn Water", "a noisy stream"),
            ("Mire", "a muddy stream"),
            ("Lissom", "a stream full of trout"),
            ("Grey Ouzel", "a cold grey stream"),
            ("Wend", "a winding stream"),
            ("Sallow", "a stream under willows"),
            ("Bright Ede", "a clear shallow stream"),
            ("Carrow", "a stream the colour of tea"),
        ),
        full=(
            "The {v} slides past the back gardens of {place}.",
            "Washing is still done in the {v}, which cuts {place} in two.",
            "Mills along the {v} gave {place} its early wealth.",
            "Barges come up the {v} as far as {place} and turn there.",
        ),
        vague=(
            "{r} loops around {place} and drowns the lower gardens in March.",
            "Ducks have taken over {r} that divides {place}.",
        ),
        asked=(
            "Which river flows through {place}?",
            "What is the name of the river at {place}?",
            "On which river does {place} lie?",
        ),
        reworded=("Which waterway runs through {place}?", "What water does {place} stand on?"),
        related=("bridge",),
    ),
    "population": Attribute(
        values=tuple(
            (f"{n:,}", THOUSANDS[min(n // 1000, 5)]) for n in range(620, 6900, 10) if n % 1000
        ),
        full=(
            "Some {v} souls share the lanes of {place}.",
            "At the last count {place} came to {v} heads.",
            "The church register of {place} lists {v} names, a few of them twice.",
            "{place} fills {v} beds on an ordinary night.",
        ),
        vague=(
            "Nobody counts very carefully, but {place} holds {r}.",
            "By the reckoning of its priest {place} holds {r}.",
        ),
        asked=(
            "How many people live in {place}?",
            "What is the population of {place}?",
            "How many inhabitants does {place} have?",
        ),
        reworded=("How many residents are there in {place}?", "How big is {place}?"),
        related=("emigration",),
    ),
    "emigration": Attribute(
        values=(
            ("the shipyards of the south", "south"),
            ("the cotton mills of the south", "south"),
            ("the gold fields overseas", "overseas"),
            ("the northern timber camps", "north"),
            ("the northern whaling stations", "north"),
            ("the kitchens of the capital", "to the city"),
            ("the law courts of the capital", "to the city"),
            ("the vineyards overseas", "overseas"),
        ),
        full=(
            "The young of {place} set off for {v} at eighteen.",
            "Half of {place} has a cousin in {v}.",
            "Money orders from {v} keep {place} in roof tiles.",
            "Letters from {place} are mostly addressed to {v}.",
        ),
        vague=(
            "One house in five in {place} is shut, its owners gone {r}.",
            "Those who gave up on {place} went {r}, as a rule.",
        ),
        asked=(
            "Where do people from {place} move to?",
            "Where do emigrants from {place} go?",
            "Where do people go when they leave {place}?",
        ),
        reworded=(
            "Where have natives of {place} migrated?",
            "In what region do former residents of {place} find work?",
        ),
        related=("population",),
    ),
    "rainfall": Attribute(
        values=tuple((f"{n:,} millimetres", HOW_OFTEN[n // 400 - 1]) for n in range(410, 2000, 10)),
        full=(
            "Gauges in {place} catch {v} in twelve months.",
            "Clouds empty {v} over {place} between one January and the next.",
            "Cisterns in {place} are built for {v} from one harvest to another.",
            "Umbrella makers do well in {place}, where the gauge passes {v} by New Year.",
        ),
        vague=("Gutters in {place} gurgle {r}.", "Umbrellas are opened in {place} {r}."),
        asked=(
            "How much rain falls in {place}?",
            "How wet is {place}?",
            "What is the yearly rainfall in {place}?",
        ),
        reworded=(
            "How much precipitation does {place} get?",
            "How rainy is it in {place}?",
        ),
        related=("climate",),
    ),
    "climate": Attribute(
        values=(
            ("frost from November to April", "raw"),
            ("mild winters and hazy summers", "mild"),
            ("dry summers and short, sharp winters", "crisp"),
            ("fog until noon and soft evenings", "damp"),
            ("snow to the windowsills and a brief, hot July", "bracing"),
            ("long warm autumns and late springs", "mild"),
            ("sultry Augusts and thunder at night", "heavy"),
        ),
        full=(
            "Gardeners in {place} reckon with {v}.",
            "{place} is used to {v}.",
            "The almanac promises {place} {v}.",
            "Beekeepers in {place} grumble about {v}.",
        ),
        vague=(
            "The air in {place} is {r} for much of the year.",
            "Doctors send their patients to {place}, where the air is {r}.",
        ),
        asked=(
            "What is the weather like in {place}?",
            "What climate does {place} have?",
            "How warm or cold does it get in {place}?",
        ),
        reworded=(
            "What are the seasons like in {place}?",
            "What temperatures can one expect in {place}?",
        ),
        related=("rainfall", "wind"),
    ),
    "wind": Attribute(
        values=(
            ("Tarrock", "from the north-east"),
            ("Old Scold", "from the sea"),
            ("Harrier", "from the hills"),
            ("Widow's Breath", "from the marshes"),
            ("Sawtooth", "from the ice"),
            ("Bellows", "from the south"),
            ("Grey Piper", "from the west"),
            ("Miller's Boy", "from the plain"),
        ),
        full=(
            "The {v} rattles the shutters of {place} for weeks on end.",
            "When the {v} gets up, {place} ties down its hens.",
            "Roofs in {place} are weighted with stones against the {v}.",
            "Fishwives in {place} blame every headache on the {v}.",
        ),
        vague=(
            "Gusts {r} keep the lanes of {place} swept.",
            "Sooner or later every hat in {place} is lost to a blast {r}.",
        ),
        asked=(
            "What is the local wind of {place} called?",
            "Which wind blows in {place}?",
            "What name do people give to the wind in {place}?",
        ),
        reworded=("Which gale is {place} known for?", "What is the storm at {place} called?"),
        related=("climate",),
    ),
    "dish": Attribute(
        values=(
            ("smoked eel with barley", "eel"),
            ("mutton stewed with prunes", "mutton"),
            ("turnips in mustard cream", "turnips"),
            ("goose baked in clay", "goose"),
            ("pike dumplings", "pike"),
            ("black pudding and apples", "blood sausage"),
            ("leek pie with smoked ham", "leeks"),
            ("snails in green butter", "snails"),
            ("cod cheeks with dill", "cod"),
            ("lentils and burnt onions", "lentils"),
        ),
        full=(
            "Supper in {place} is {v}, with a spoon and no talking.",
            "No grandmother in {place} would let you leave without {v}.",
            "The cookshops of {place} ladle out {v} from noon until it is gone.",
            "{place} swears by {v}.",
        ),
        vague=(
            "Kitchens in {place} smell of {r} all winter.",
            "Pots in {place} are seldom without {r}, and no recipe is written down.",
        ),
        asked=(
            "What do people eat in {place}?",
            "What is the typical dish of {place}?",
            "Which food is {place} famous for?",
        ),
        reworded=("Which meal is traditional in {place}?", "What is the cuisine of {place} like?"),
        related=("feast_food", "drink"),
    ),
    "feast_food": Attribute(
        values=(
            ("almond rings", "sweets"),
            ("honey cakes", "sweets"),
            ("plum dumplings", "dumplings"),
            ("chestnut fritters", "fritters"),
            ("saffron buns", "buns"),
            ("cheese pies", "pies"),
            ("gilded gingerbread hearts", "gingerbread"),
            ("poppy-seed plaits", "plaited loaves"),
        ),
        full=(
            "When the drums come out, bakers in {place} hand round {v}.",
            "{v} are sold from trays in {place} while the procession goes by.",
            "Once a year, between two parades, {place} lives on {v}.",
            "Dancers in {place} are paid in {v}.",
        ),
        vague=(
            "Children in {place} save their coins for the {r} of the great parade.",
            "The procession in {place} leaves a trail of crumbs from the {r}.",
        ),
        asked=(
            "What is eaten at the festival in {place}?",
            "What food is made for the celebrations in {place}?",
            "What do people eat on the feast day of {place}?",
        ),
        reworded=(
            "Which treat belongs to the holiday of {place}?",
            "What pastry is prepared for the annual celebration in {place}?",
        ),
        related=("festival", "dish"),
    ),
    "drink": Attribute(
        values=(
            ("juniper cider", "cider"),
            ("walnut liqueur", "liqueur"),
            ("cloudy pear wine", "wine"),
            ("smoked barley beer", "beer"),
            ("rosehip brandy", "brandy"),
            ("fermented mare's milk", "sour milk"),
            ("birch-leaf tea", "tea"),
            ("elderflower mead", "mead"),
        ),
        full=(
            "A host in {place} pours {v} before he asks who you are.",
            "The cellars of {place} are full of {v}.",
            "Toasts in {place} are made with {v}, never with water.",
            "Harvesters in {place} are paid partly in {v}.",
        ),
        vague=(
            "Under most stairs in {place} stands a barrel of {r}.",
            "{place} is proud of its {r}, and sleeps well on it.",
        ),
        asked=(
            "What do people drink in {place}?",
            "Which drink is typical of {place}?",
            "What beverage is {place} known for?",
        ),
        reworded=(
            "What is served in the taverns of {place}?",
            "What would one order in a bar in {place}?",
        ),
        related=("dish",),
    ),
    "festival": Attribute(
        values=(
            ("the Night of Lanterns", "early spring"),
            ("the Blessing of the Nets", "early summer"),
            ("Goose Sunday", "late autumn"),
            ("the Burning of the Straw Bear", "midwinter"),
            ("the Feast of Fools", "midwinter"),
            ("the Apple Wake", "late autumn"),
            ("the Dance of the Kettles", "high summer"),
            ("Candle Week", "midwinter"),
        ),
        full=(
            "Once a year the whole of {place} stays up for {v}.",
            "Shops in {place} close for {v}, and nobody minds.",
            "Drums announce {v} in {place}.",
            "Sons and daughters come home to {place} for {v}.",
        ),
        vague=(
            "In {r} there is dancing in the lanes of {place} until the lamps go out.",
            "{place} saves its fireworks for {r}.",
        ),
        asked=(
            "Which festival is celebrated in {place}?",
            "What is the big celebration in {place} called?",
            "What feast do people hold in {place}?",
        ),
        reworded=(
            "What is the main holiday of {place}?",
            "What event brings {place} together each year?",
        ),
        related=("feast_food", "market"),
    ),
    "market": Attribute(
        values=(
            ("Mondays", "early in the week"),
            ("Tuesdays", "early in the week"),
            ("Wednesdays", "in the middle of the week"),
            ("Thursdays", "in the second half of the week"),
            ("Fridays", "towards the weekend"),
            ("Saturdays", "at the weekend"),
        ),
        full=(
            "On {v} stalls cover the square of {place} from dawn.",
            "Farmers bring eggs and gossip to {place} on {v}.",
            "The price of onions in {place} is settled on {v}.",
            "{v} are loud in {place}, what with stalls, hens and haggling.",
        ),
        vague=(
            "{r} the square of {place} fills with awnings.",
            "Awnings go up in {place} {r} and come down by dark.",
        ),
        asked=(
            "On which day is the market held in {place}?",
            "When is market day in {place}?",
            "What day do traders come to {place}?",
        ),
        reworded=(
            "On what weekday do merchants sell their goods in {place}?",
            "When is a good time to go shopping in {place}?",
        ),
        related=("festival",),
    ),
    "transport": Attribute(
        values=(
            ("a narrow-gauge railway", "on rails"),
            ("a rack railway", "on rails"),
            ("a steam ferry", "over the water"),
            ("a motor launch", "over the water"),
            ("a cable car", "through the air"),
            ("a horse tram", "behind horses"),
            ("a string of mules", "on hoof"),
            ("a weekly bus", "on wheels"),
            ("a flat-bottomed barge", "over the water"),
        ),
        full=(
            "{v} links {place} with the coast.",
            "Since the road was washed away, {place} has depended on {v}.",
            "Letters, brides and pianos all come to {place} by {v}.",
            "Without {v}, {place} would be cut off from the plain.",
        ),
        vague=(
            "Everything that {place} needs arrives {r}.",
            "One comes to {place} {r}, and slowly.",
        ),
        asked=(
            "How do travellers reach {place}?",
            "How can one get to {place}?",
            "What transport is there to {place}?",
        ),
        reworded=(
            "What is the best way of travelling to {place}?",
            "Which vehicle should one take to visit {place}?",
        ),
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
            ("the Last Candle", "three attics by the church"),
        ),
        full=(
            "The lamp of {v} is the last to go out in {place}.",
            "At {v} in {place} the sheets are ironed and the bread is warm.",
            "Strangers who are caught by the dark in {place} are sent to {v}.",
            "{place} has six beds for hire, all of them at {v}.",
        ),
        vague=(
            "A widow in {place} lets {r}.",
            "Ask the baker of {place} about {r}, and bring your own towel.",
        ),
        asked=(
            "Where can visitors stay in {place}?",
            "Which inn is there in {place}?",
            "Where can travellers sleep in {place}?",
        ),
        reworded=(
            "What is the hotel in {place} called?",
            "Where might a tourist spend the night in {place}?",
        ),
        related=("transport",),
    ),
    "industry": Attribute(
        values=(
            ("weaving sailcloth", "looms"),
            ("making rope", "rope walks"),
            ("blowing glass", "furnaces"),
            ("burning charcoal", "kilns"),
            ("carving pipes", "workbenches"),
            ("drying cod", "drying racks"),
            ("casting bells", "foundries"),
            ("tanning hides", "vats"),
            ("cutting slate", "quarries"),
            ("boiling salt", "salt pans"),
        ),
        full=(
            "Most hands in {place} earn their bread by {v}.",
            "Boys and girls in {place} are brought up to {v}.",
            "{v} has kept {place} busy for nine generations.",
            "From every second door in {place} comes the sound of {v}.",
        ),
        vague=(
            "{place} has its {r} to thank for every roof.",
            "Smoke and noise from the {r} hang over {place}.",
        ),
        asked=(
            "What do people in {place} do for a living?",
            "What is the main industry of {place}?",
            "What work do people do in {place}?",
        ),
        reworded=(
            "Which trade employs most of {place}?",
            "What is the chief occupation in {place}?",
        ),
        related=("export",),
    ),
    "export": Attribute(
        values=(
            ("candied quince", "sweets"),
            ("blue writing paper", "stationery"),
            ("goose-down quilts", "bedding"),
            ("hard sheep's cheese", "cheese"),
            ("violin strings", "fiddlers' supplies"),
            ("beeswax candles", "candles"),
            ("dried mushrooms", "dried goods"),
            ("enamel buttons", "haberdashery"),
            ("cherry-wood spoons", "kitchenware"),
            ("playing cards", "printed goods"),
        ),
        full=(
            "Crates of {v} leave {place} for the capital.",
            "Merchants ride three days to {place} for {v}.",
            "Far from home, the stamp of {place} is found on {v}.",
            "The customs ledger of {place} is one long column of {v}.",
        ),
        vague=(
            "Wagons of {r} roll out of {place} in autumn.",
            "In the capital {place} is no more than a label on {r}.",
        ),
        asked=(
            "What does {place} export?",
            "Which goods does {place} sell abroad?",
            "What product is {place} known for?",
        ),
        reworded=(
            "What is shipped from {place} to other countries?",
            "Which merchandise does {place} send away?",
        ),
        related=("industry",),
    ),
    "patron": Attribute(
        values=(
            ("Saint Orla", "a bearded woman with a lantern"),
            ("Saint Bruno", "a bearded man with a saw"),
            ("Saint Ita", "a girl with a goose"),
            ("Saint Kew", "a girl with a wild boar"),
            ("Saint Wendel", "a shepherd with a crown"),
            ("Saint Maudez", "a hermit with a snake"),
            ("Saint Odile", "a nun with two eyes on a book"),
        ),
        full=(
            "A wooden figure of {v} looks down on the square of {place}.",
            "In storms {place} lights candles to {v}.",
            "Half the boats and babies of {place} are called after {v}.",
            "{v} is painted over the gate of {place}.",
        ),
        vague=(
            "In {place} candles burn before {r}, and the inscription has worn off.",
            "{place} carries {r} through the fields on a litter.",
        ),
        asked=(
            "Who is the patron saint of {place}?",
            "Which saint protects {place}?",
            "To whom do the people of {place} pray?",
        ),
        reworded=(
            "Which holy figure watches over {place}?",
            "Who is venerated in {place}?",
        ),
        related=("legend",),
    ),
    "elevation": Attribute(
        values=tuple(
            (f"{n:,} metres", "a little out of breath" if n < 700 else "dizzy")
            for n in range(140, 1600, 10)
        ),
        full=(
            "{place} sits {v} above the tide-mark.",
            "A brass plate in {place} reads {v}, measured from the beach.",
            "From the beach to the doorsteps of {place} it is {v} straight up.",
            "Barometers in {place} are set for {v}.",
        ),
        vague=(
            "Visitors to {place} are {r} before they get to the square.",
            "The last mile up to {place} leaves even mules {r}.",
        ),
        asked=(
            "How high does {place} lie?",
            "What is the elevation of {place}?",
            "At what altitude is {place}?",
        ),
        reworded=("How far above sea level is {place}?", "What is the height of {place}?"),
        not_for=("port",),
    ),
    "dialect": Attribute(
        values=(
            ("Hask", "the clipped endings"),
            ("Low Merrish", "the sing-song"),
            ("Old Tannic", "the swallowed vowels"),
            ("Quay Latin", "the long vowels"),
            ("Sheepfold Norse", "the throaty sounds"),
            ("Velish", "the whistled sounds"),
            ("Ottermark", "the old plurals"),
        ),
        full=(
            "Over the garden walls of {place} you will hear {v}.",
            "Prayers in {place} are still said in {v}.",
            "{v} has eleven words for fog, and {place} uses all of them.",
            "Clerks who are sent to {place} are given a year to learn {v}.",
        ),
        vague=(
            "Nobody from the capital can follow {r} of {place}.",
            "Actors imitate {r} of {place} to get a laugh.",
        ),
        asked=(
            "What language is spoken in {place}?",
            "Which dialect do people speak in {place}?",
            "What tongue is used in {place}?",
        ),
        reworded=(
            "How do the locals of {place} talk?",
            "Which speech would a linguist study in {place}?",
        ),
        related=("greeting",),
    ),
    "greeting": Attribute(
        values=(
            ("touching elbows", "elbows"),
            ("lifting the left boot", "boots"),
            ("asking after each other's bees", "bees"),
            ("tapping their hats twice", "hats"),
            ("knocking on the nearest wood", "knuckles"),
            ("tugging an ear", "ears"),
            ("trading a pinch of salt", "salt cellars"),
            ("shaking three fingers", "fingers"),
        ),
        full=(
            "Friends in {place} begin every talk by {v}.",
            "Neighbours in {place} would think it rude to stop without {v}.",
            "Even the bailiffs of {place} knock first and then start by {v}.",
            "Traders in {place} never open a bargain without {v}.",
        ),
        vague=(
            "Strangers wonder what {r} have to do with manners in {place}.",
            "Good manners in {place} have to do with {r}.",
        ),
        asked=(
            "How do people greet each other in {place}?",
            "What is the usual greeting in {place}?",
            "How do people say hello in {place}?",
        ),
        reworded=(
            "What is a polite welcome like in {place}?",
            "Which salutation is customary in {place}?",
        ),
        related=("dialect",),
    ),
    "school": Attribute(
        values=(
            ("the navigation academy", "one retired captain"),
            ("the lace college", "two sisters"),
            ("the forestry institute", "a former gamekeeper"),
            ("the conservatory of bagpipes", "a deaf organist"),
            ("the beekeeping institute", "two sisters"),
            ("the clockmakers' college", "a patient old man"),
            ("the seminary of Saint Bruno", "a young curate"),
            ("the academy of cheese", "a patient old man"),
        ),
        full=(
            "{place} keeps up {v}, with one stove and two maps.",
            "Parents from three valleys send their young to {v} in {place}.",
            "The bell of {v} wakes all of {place}.",
            "Fifty boys and girls crowd the benches of {v} in {place}.",
        ),
        vague=(
            "{place} pays for a stove, a blackboard and {r}.",
            "Lessons in {place} are given by {r}.",
        ),
        asked=(
            "Which school is there in {place}?",
            "Where do children in {place} go to school?",
            "Where do pupils study in {place}?",
        ),
        reworded=(
            "What place of education does {place} have?",
            "Where could a student enrol in {place}?",
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
            ("the Beacon", "twice a month"),
            ("the Morning Rumour", "twice a month"),
        ),
        full=(
            "{v} is printed in {place} on a hand press.",
            "{place} learns of births and floods from {v}.",
            "Fish in {place} is wrapped in {v}.",
            "No burnt barn in {place} has escaped {v}.",
        ),
        vague=(
            "Four pages of gossip are printed in {place} {r}.",
            "A boy shouts headlines across the square of {place} {r}.",
        ),
        asked=(
            "What is the newspaper of {place} called?",
            "Which paper do people in {place} read?",
            "Where do people in {place} find local news?",
        ),
        reworded=("What is the name of the press in {place}?", "Which journal appears in {place}?"),
    ),
    "sport": Attribute(
        values=(
            ("barrel racing", "on the steep lanes"),
            ("sledging on tea trays", "on the steep lanes"),
            ("punt racing", "on the water"),
            ("rowing backwards", "on the water"),
            ("ice skittles", "on the ice"),
            ("stone lifting", "in the meadow"),
            ("ditch vaulting", "in the meadow"),
            ("boot throwing", "in the meadow"),
        ),
        full=(
            "On Sundays {place} turns out for {v}.",
            "Broken wrists in {place} mostly come from {v}.",
            "{v} is taken seriously in {place}, and the betting more so.",
            "The silver cup for {v} has stayed in {place} for eleven years.",
        ),
        vague=(
            "The young men of {place} train {r} in all weathers.",
            "In {place} cups are won and lost {r}.",
        ),
        asked=(
            "Which sport is popular in {place}?",
            "What game do people play in {place}?",
            "What do people in {place} play?",
        ),
        reworded=(
            "Which athletic contest is {place} known for?",
            "In what discipline do the teams of {place} compete?",
        ),
    ),
    "dispute": Attribute(
        values=(
            ("a flock of geese", "geese"),
            ("the fishing rights off the point", "fish"),
            ("a boundary stone", "a stone"),
            ("the toll on the salt road", "a toll"),
            ("a stolen bell", "a bell"),
            ("the water of a spring", "water"),
            ("an unpaid dowry", "a wedding"),
            ("a badly drawn map", "a map"),
        ),
        full=(
            "{place} has been in court for sixty years over {v}.",
            "Whole families in {place} no longer speak because of {v}.",
            "{place} and the next valley have never agreed about {v}.",
            "Angry letters about {v} still pass between {place} and the county.",
        ),
        vague=(
            "Something to do with {r} keeps {place} from being civil to the next valley.",
            "There is bad blood in {place}, all because of {r}.",
        ),
        asked=(
            "What dispute is {place} involved in?",
            "What does {place} quarrel about?",
            "Over what has {place} fallen out with its neighbours?",
        ),
        reworded=(
            "What conflict does {place} have with its rivals?",
            "What is the cause of the feud at {place}?",
        ),
    ),
    "famous": Attribute(
        values=(
            ("the painter Ilse Marren", "a painter"),
            ("the astronomer Piet Oostra", "a stargazer"),
            ("the soprano Clara Venn", "a singer"),
            ("the forger Matthias Roe", "a criminal"),
            ("the poet Edda Quill", "a poet"),
            ("the boxer Sam Tolliver", "a prizefighter"),
            ("the explorer Nils Arkwright", "an explorer"),
            ("the chess master Judit Sorn", "a chess player"),
        ),
        full=(
            "{v} grew up above the chandler's in {place}.",
            "A plaque in {place} marks the window from which {v} fell as a child.",
            "{v} left {place} at sixteen and spoke of it ever after.",
            "{place} has put {v} on its stamps.",
        ),
        vague=(
            "{r} is supposed to have spent a childhood in {place}.",
            "{place} believes that it once raised {r}.",
        ),
        asked=(
            "Which famous person comes from {place}?",
            "Who is the best-known native of {place}?",
            "Which celebrity was born in {place}?",
        ),
        reworded=(
            "Which notable figure is from {place}?",
            "Who has made {place} known in the world?",
        ),
        related=("founder",),
    ),
    "architecture": Attribute(
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
            "{place} is all {v}.",
            "Every lane in {place} shows you {v}.",
            "Masons in {place} know only one way: {v}.",
            "Painters come to {place} for the {v}.",
        ),
        vague=(
            "From far off {place} looks {r}.",
            "{place} is kept {r} by order of the council.",
        ),
        asked=(
            "What do the houses in {place} look like?",
            "What is the architecture of {place} like?",
            "How are houses built in {place}?",
        ),
        reworded=(
            "In what style are the buildings of {place}?",
            "How do people in {place} construct their homes?",
        ),
        related=("landmark",),
    ),
    "landmark": Attribute(
        values=(
            ("the leaning clock tower", "a tower"),
            ("the iron lighthouse", "a tower"),
            ("the whalebone arch", "an arch"),
            ("the roofless abbey", "a ruin"),
            ("the copper dome", "a dome"),
            ("the Giant's Chair, a block of granite", "a rock"),
            ("the windmill without sails", "a ruin"),
            ("the Needle, a spike of chalk", "a rock"),
        ),
        full=(
            "In {place} sailors and drunkards steer by {v}.",
            "Every picture postcard of {place} shows {v}.",
            "Lovers in {place} meet below {v}.",
            "Nothing in {place} is drawn so often as {v}.",
        ),
        vague=(
            "There is {r} to climb in {place}.",
            "Pigeons have settled on {r} in the middle of {place}.",
        ),
        asked=(
            "What is the landmark of {place}?",
            "Which sight should one see in {place}?",
            "What monument stands in {place}?",
        ),
        reworded=(
            "What is the main attraction of {place}?",
            "What do tourists photograph in {place}?",
        ),
        related=("architecture",),
    ),
    "tree": Attribute(
        values=(
            ("a hollow walnut", "walnuts"),
            ("a split lime", "lime blossom"),
            ("a copper beech", "beech nuts"),
            ("a lightning-struck oak", "acorns"),
            ("a crooked mulberry", "mulberries"),
            ("a vast horse chestnut", "conkers"),
            ("a lone cedar", "cones"),
            ("a propped-up pear", "windfall pears"),
        ),
        full=(
            "{v} shades the well in {place}.",
            "Weddings in {place} are agreed under {v}.",
            "The elders of {place} used to meet under {v}.",
            "Nobody in {place} would take an axe to {v}.",
        ),
        vague=(
            "Children in {place} gather {r} in the square.",
            "The square of {place} is slippery with {r} for weeks.",
        ),
        asked=(
            "Which tree is {place} proud of?",
            "What old tree stands in {place}?",
            "What kind of tree grows in {place}?",
        ),
        reworded=(
            "Which plant would a botanist look for in {place}?",
            "What grows in the middle of {place}?",
        ),
    ),
    "legend": Attribute(
        values=(
            ("a drowned bell rings before a death", "a bell"),
            ("a white hare steals the last sheaf", "a hare"),
            ("the miller's ghost counts sacks at midnight", "a ghost"),
            ("a treasure lies under the priest's chair", "a treasure"),
            ("a giant sleeps beneath the hill", "a giant"),
            ("the moon was once caught in the well", "the moon"),
            ("a seal married the ferryman", "a seal"),
        ),
        full=(
            "They say in {place} that {v}.",
            "Grandmothers in {place} will tell you that {v}.",
            "No one in {place} would swear to it, but {v}.",
            "On dark evenings it is whispered in {place} that {v}.",
        ),
        vague=(
            "Something about {r} keeps {place} indoors after dark.",
            "Mention {r} in {place} and the room goes quiet.",
        ),
        asked=(
            "What legend is there in {place}?",
            "Which old story belongs to {place}?",
            "What do people in {place} believe in?",
        ),
        reworded=("What myth surrounds {place}?", "What folklore is {place} known for?"),
        related=("patron",),
    ),
    "government": Attribute(
        values=(
            ("a council of seven widows", "the widows"),
            ("the oldest fisherman", "the oldest man"),
            ("a mayor drawn by lot", "whoever drew the straw"),
            ("the guild of brewers", "the brewers"),
            ("an abbess and two clerks", "the convent"),
            ("a bailiff sent from the capital", "the bailiff"),
            ("three families in turn", "the big families"),
        ),
        full=(
            "Keys, bells and taxes in {place} are in the hands of {v}.",
            "{place} answers to {v}.",
            "Nothing is paved in {place} without the word of {v}.",
            "The budget of {place} is signed by {v}.",
        ),
        vague=(
            "In {place} one asks {r} before putting up a fence.",
            "{place} leaves such things to {r}.",
        ),
        asked=(
            "Who governs {place}?",
            "Who rules {place}?",
            "Who is the head of {place}?",
        ),
        reworded=(
            "How is {place} administered?",
            "Who makes the decisions in {place}?",
        ),
    ),
    "emblem": Attribute(
        values=(
            ("a heron on green", "a bird"),
            ("a silver herring", "a fish"),
            ("two crossed oars", "oars"),
            ("a black goat rampant", "a goat"),
            ("three gold sheaves", "wheat"),
            ("a bell and a hammer", "a bell"),
            ("an owl on a key", "a bird"),
            ("a blue pike", "a fish"),
        ),
        full=(
            "A cloth with {v} flutters over the toll-house of {place}.",
            "The wax seal of {place} shows {v}.",
            "Watchmen in {place} wear buttons with {v}.",
            "{place} has {v} painted on its fire engine.",
        ),
        vague=(
            "Carvers have worked {r} into every bench in {place}.",
            "The old coins of {place} are stamped with {r}.",
        ),
        asked=(
            "What is on the coat of arms of {place}?",
            "What does the flag of {place} show?",
            "Which symbol stands for {place}?",
        ),
        reworded=(
            "What is the heraldic device of {place}?",
            "Which badge identifies {place}?",
        ),
    ),
    "disaster": Attribute(
        values=tuple(
            (f"the {kind} of {year}", kind)
            for kind, year in product(("fire", "flood", "landslide", "plague"), range(1590, 1860))
        ),
        full=(
            "Two lanes of {place} have stood empty since {v}.",
            "The clock in {place} stopped during {v} and was left so.",
            "Old maps of {place} show what {v} took.",
            "{v} spared only the bakery in {place}.",
        ),
        vague=(
            "The word {r} is not used at table in {place}.",
            "Doors in {place} open outwards, for fear of another {r}.",
        ),
        asked=(
            "Which catastrophe struck {place}?",
            "What disaster happened in {place}?",
            "When was {place} destroyed?",
        ),
        reworded=(
            "What misfortune did {place} suffer in the past?",
            "What has devastated {place}?",
        ),
    ),
    "livestock": Attribute(
        values=(
            ("long-haired grey goats", "goats"),
            ("four-horned sheep", "sheep"),
            ("piebald donkeys", "donkeys"),
            ("red dwarf cattle", "small cattle"),
            ("curly-feathered geese", "geese"),
            ("woolly pigs", "pigs"),
            ("short-legged ponies", "ponies"),
        ),
        full=(
            "At dusk {v} walk home through {place} by themselves.",
            "The wealth of {place} goes about on four legs or two: {v}.",
            "Fences in {place} are there to keep in {v}.",
            "{place} counts its dowries in {v}.",
        ),
        vague=(
            "{r} have the right of way in {place}.",
            "Gardeners in {place} are at war with {r}.",
        ),
        asked=(
            "Which animals are kept in {place}?",
            "What livestock do people in {place} raise?",
            "What animals do farmers in {place} have?",
        ),
        reworded=(
            "What do the herders of {place} look after?",
            "Which breed would one find on the farms of {place}?",
        ),
    ),
}

# Sentences without a fact that is asked for, but with the words of the questions.
ASIDES = (
    "Old people say that {place} was once a bigger place.",
    "On market days people in {place} wait on the bridge for the rain to stop.",
    "School, inn and river: on a wet day all of {place} smells the same.",
    "The wind, the river and the tax collector find {place} every year.",
    "Travellers who get as far as {place} have a story to tell.",
    "No saint, people say, ever lived in {place}.",
    "Visitors to {place} are asked how they travelled, and then what they weigh.",
    "What people in {place} call a festival would be a quiet day anywhere else.",
    "{place} is famous for nothing, which suits the people who live there.",
    "The houses of {place} keep their backs to the weather and their doors to the news.",
    "Food and drink are dear in {place}, and talk is free.",
    "The people of {place} work, eat and quarrel on the same bench.",
    "Newspapers of the capital call {place} typical, and do not say of what.",
)
# Sentences that name a neighbour without a fact about it, to open and to close a passage.
OPENINGS = (
    "{place} lies an hour from {other} by cart.",
    "Do not confuse {place} with {other}.",
    "Between {place} and {other} there is nothing but heath.",
    "The road from {other} ends in {place}.",
    "From {other} it is a short climb to {place}.",
    "{other} and {place} share a hill and little else.",
)
CLOSINGS = (
    "In {other} they tell it differently.",
    "People in {other} laugh about it.",
    "Nobody from {other} would believe it.",
    "{other} claims the same of itself, wrongly.",
    "The next place, {other}, is smaller and less polite.",
    "Most visitors are on their way to {other}.",
    "On clear days one can see {other}.",
)

KINDS = ("town", "village", "port", "borough", "parish", "settlement")
STEMS = [
    "Vel",
    "Kar",
    "Bram",
    "Tol",
    "Hes",
    "Mir",
    "Dun",
    "Fal",
    "Grev",
    "Hol",
    "Lor",
    "Nar",
    "Pel",
    "Quen",
    "Ros",
    "Sal",
    "Thor",
    "Wen",
    "Yar",
    "Zel",
]
VOWELS = "aeio"
ENDINGS = [
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
    "ven",
    "ric",
]
TWINS = ("Upper {}", "Lower {}", "Little {}", "Far {}", "{} Heath", "{} Cross", "{} Mills")
# What the language model answers when it ranks nothing.
REFUSALS = (
    "I'm sorry, but I cannot rank these passages without more context.",
    "None of the passages answers the question directly.",
    "As a language model I do not have access to the passages you mention.",
)
