"""Grammar rules for composite goals and one-ball moves: conjunctions, lines, gatherings, moves."""

from envs.clevr.grammar import RELATION_RULES

# Between the parts of a conjunction; the last gap may also say that it is the last.
SEPARATORS = (
    *(" and ", ", and ", "; ", ", then ", ". ", " and then ", " plus ", ", also ", " while "),
    *(", ", ", ", ", next ", ", after that ", " and also ", " with ", " together with ", " but "),
    *(", besides ", " as well as ", " and at the same time ", ", moreover ", ", in addition "),
)
LAST_SEPARATORS = (
    *SEPARATORS,
    *(", finally ", ", and last ", " and likewise "),
    *(" along with ", ", and also ", " but also ", " and even ", ", in addition to that, "),
)
ENDINGS = (
    *("",) * 8,
    *(" as well", " too", " at the same time", " together", ", please", " in one scene", ", both"),
)
# Before a list of situations ("the red ball left of the blue ball").
LIST_HEADS = (
    *("<verb>", "<verb>", "<have>", "<i_want>", "<i> <like>", "<can_you> <verb>", "both", "all of"),
    *("<ensure> I have", "make sure of", "see to", "aim for", "the goal is", "make sure to have"),
    *("two or three things:", "all at once:", "<let> me <have>", "<opener> <verb> all of"),
    *("<opener> <verb> both", "<bring_about> <layout> with", "<glad> with"),
)
# Before a list of clauses or requests.
CLAUSE_HEADS = (
    *("",) * 6,
    *("<opener>", "<manner>", "first", "do this:", "at the same time,", "please", "<can_you>"),
)
STATEMENT_HEADS = ("", "", "<ensure>", "<bring_about> <layout> <where>", "it is true that")

LINE_RULES: dict[str, tuple[str, ...]] = {
    "line": (
        *("<arrange> <balls> <in> <shape> <by>",) * 3,
        *("<arrange> <balls> <by>, <in> <shape>", "<arrange> <balls> <by> <in> <shape>"),
        *("<form> <shape> <of> <balls> <by>",) * 3,
        *("<form> <shape> <by> <of> <balls>", "<form> <shape> <that> <run>"),
        *("<i_want> <balls> <in> <shape> <by>", "<i_want> <shape> <of> <balls> <by>"),
        *("<balls> <must> <stand> <in> <shape> <by>", "<balls> <must> <form> <shape> <by>"),
        *("<let> <balls> <stand> <in> <shape> <by>", "<let> <balls> <form> <shape> <by>"),
        *("<can_you> <arrange> <balls> <in> <shape> <by>", "<shape> <by>, <of> <balls>"),
        *("<arrange> <balls> <until> they are <lined_up> <by>", "<balls> <are> <lined_up> <by>"),
        *("<arrange> <balls> <until> they <run>", "<balls> in <shape> <that> <run>"),
        *(
            "<form> <shape> <that> <run>",
            "<shape> <that> <run>",
            "the order of <balls> is <colors>, <in> <shape>",
        ),
        *("please <arrange> <balls> <lined_up>, <by>", "<arrange> <balls> <together> <by>"),
        *("<sort> <balls>", "<sort> <balls> <by>", "<balls> <must> be <lined_up> <by>"),
    ),
    "arrange": (
        *("arrange", "line up", "order", "sort", "align", "rank", "organise", "set", "put"),
        *("place", "lay out", "string", "move", "push", "get", "bring", "make up", "stand"),
    ),
    "sort": ("sort", "order", "rank", "line up", "align", "organise", "queue up", "string"),
    "form": ("form", "make", "build", "create", "shape", "make up", "draw", "show me", "set up"),
    "balls": (
        *("the balls", "all balls", "the five balls", "all five balls", "every ball", "each ball"),
        *("all the balls", "them all", "all of the balls", "these balls", "the colours"),
    ),
    "in": ("in", "into", "as", "along", "to", "so that they form", "in the form of", "on"),
    "shape": (
        *("a line", "a row", "one line", "one row", "a straight line", "a straight row", "a queue"),
        *("a horizontal line", "a horizontal row", "a chain", "a string", "a sequence", "a series"),
        *("one straight line", "a left-to-right line", "a colour-sorted row", "single file"),
        *("the line", "the row", "a sorted line", "a line of balls", "a left-to-right row"),
        *("a colour-sorted line", "a line next to each other", "a row side by side"),
    ),
    "of": ("of", "out of", "from", "with", "using", "for"),
    "that": ("that", "which", "so that it"),
    "run": ("<runs> <colors>", "<runs> <ends>", "<runs> <colors> <ltr>"),
    "runs": (
        "runs",
        "goes",
        "run",
        "runs",
        "reads",
        "go",
        "is ordered",
        "starts",
        "stand",
        "follow",
    ),
    "by": (
        *("by colour", "by their colour", "in colour order", "in order of colour", "<ltr>"),
        *("sorted by colour", "in their colour order", "colour by colour", "in the colour order"),
        *("<ltr>, <ends>", "<ends>", "<ends>", "<ltr>: <colors>", "in the order <colors>"),
        *("with <colors>", "as <colors>", ": <colors>", "in the sequence <colors>", "<colors>"),
    ),
    "ltr": ("from left to right", "left to right", "rightward", "horizontally", "side by side"),
    "ends": (
        *("from red to cyan", "starting with red", "beginning with red", "ending with cyan"),
        *("red first", "cyan last", "red first, cyan last", "with red at the left end"),
        *("with cyan at the right end", "with red leftmost", "with cyan rightmost", "red leftmost"),
        *("from the left red to the right cyan", "with red on the far left", "from red up to cyan"),
        *("first red, last cyan", "cyan on the far right", "red at the left, cyan at the right"),
        *("opening with red and closing with cyan", "through from red to cyan", "leftmost red"),
        *("cyan rightmost", "beginning at red", "from red at one end to cyan at the other"),
    ),
    "colors": (
        *("red, blue, green, purple, cyan", "red blue green purple cyan"),
        *("red, blue, green, purple and cyan", "red then blue then green then purple then cyan"),
        *("red, then blue, green, purple, cyan", "red - blue - green - purple - cyan"),
        "first red, second blue, third green, fourth purple, fifth cyan",
    ),
    "stand": ("stand", "be", "lie", "end up", "be found", "stay", "get"),
    "are": ("are", "were", "get", "have been"),
    "lined_up": ("lined up", "sorted", "ordered", "aligned", "in line", "in a row", "in one line"),
    "together": ("next to each other", "side by side", "together", "horizontally", "in line"),
}

GATHER_RULES: dict[str, tuple[str, ...]] = {
    "gather": (
        *("<collect> <balls> <around> <green>",) * 4,
        *("<collect> <balls> <together> <around> <green>",) * 2,
        *("<surround> <green> <by> <balls>",) * 2,
        *("<let> <balls> <collect> <around> <green>", "<let> <balls> <surround> <green>"),
        *("<balls> <must> <collect> <around> <green>", "<balls> <must> <surround> <green>"),
        *("<green> <must> be <surrounded> by <balls>", "<green> <must> <end> in <the_middle>"),
        *("<green> <must> <end> in <the_middle> <of> <balls>", "<i_want> <balls> <around> <green>"),
        *("<i_want> <green> in <the_middle>", "<verb> <green> in <the_middle> <of> <balls>"),
        *("<form> <ring> <around> <green>", "<form> <ring> <of> <balls>, <green> in <the_middle>"),
        *("<form> <ring> <of> <balls> <around> <green>", "<can_you> <collect> <balls> <at>"),
        *("<balls> <are> <around> <green>", "<let> <balls> <be> <around> <green>"),
        *("<verb> <balls> <until> they <touch> <green>", "<i_want> <balls> to <touch> <green>"),
        *("<form> <green> the centre <of> <balls>", "<collect> <balls> <around> <green>, please"),
        *("<manner> <collect> <balls> <around> <green>", "<balls>, <collect> <around> <green>"),
    ),
    "collect": (
        *("gather", "collect", "bring", "cluster", "assemble", "concentrate", "crowd", "huddle"),
        *("heap", "pack", "pull", "draw", "group", "put", "push", "move", "press", "bunch"),
        *("place", "squeeze", "heap up", "pull in", "crowd up", "come together", "meet", "get"),
    ),
    "balls": (
        *("all balls", "the balls", "every ball", "the other balls", "all the other balls"),
        *("the four other balls", "the other four", "the others", "all the others", "the rest"),
        *("the remaining balls", "each ball", "each other ball", "every other ball", "them all"),
        *("the group of balls", "the whole group", "red, blue, purple and cyan", "everything"),
        *("the red, blue, purple and cyan balls", "the five balls", "the rest of the balls"),
        *("the other four balls", "the whole set of balls", "all of the balls"),
    ),
    "around": (
        *("around", "round", "about", "close to", "near", "next to", "at", "in toward", "up to"),
        *("tightly around", "closely around", "beside", "to", "up near", "all around", "onto"),
        *("in a circle around", "in a ring about", "at the place of", "tightly round", "up around"),
    ),
    "green": (
        *("the green ball",) * 3,
        *("green", "the green one", "the green centre", "the ball that is green"),
        *("the green centre ball", "the centre, green", "the green ball in the middle"),
    ),
    "together": ("together", "up", "tightly", "closely", "in", "all", "into a group"),
    "surround": ("surround", "encircle", "ring", "enclose", "circle", "crowd", "hem in", "touch"),
    "surrounded": ("surrounded", "encircled", "ringed", "enclosed", "circled", "touched"),
    "by": ("by", "with"),
    "end": ("end up", "be", "stand", "stay", "lie", "come to be"),
    "the_middle": ("the middle", "the centre", "the midst", "between them", "the very middle"),
    "of": ("of", "with", "among", "out of"),
    "ring": ("a circle", "a ring", "a tight group", "a heap", "a cluster", "a huddle", "a crowd"),
    "form": ("form", "make", "build", "create", "shape"),
    "are": ("are", "were", "crowd", "gather", "huddle", "cluster", "have been put"),
    "be": ("be", "get", "end up", "stay", "huddle"),
    "touch": ("touch", "enclose", "ring", "meet", "surround", "encircle", "reach"),
    "at": ("at the green ball", "round green", "around the green one", "near green", "by green"),
}

MOVE_RULES: dict[str, tuple[str, ...]] = {
    "move": (
        *("<opener> <roll> <s> <w> <closer>",) * 4,
        *("<manner> <roll> <s> <w>", "<w>, <roll> <s>", "<s> <must> <go> <w>"),
        *("<s> <must> be <done> <w>", "<let> <s> <go> <w> <closer>", "<s> <goes> <w>"),
        *("<cause> <s> to <go> <w>", "<i_want> <s> to <go> <w>", "<i_want> <s> <done> <w>"),
        *("<give> <s> <a_push> <w>", "<a_push> <w> for <s>", "<a_push> <w>, with <s>"),
        *("<can_you> <roll> <s> <w>?", "<roll> <s>, and do it <w>", "<s>: <w>"),
        *("<take> <s> and <roll> it <w> <closer>", "<have> <s> <going> <w>", "<s> <w>, please"),
        *("<i> <like> it <when> <s> <goes> <w>", "<ensure> <s> <goes> <w>", "<s> <is> <done> <w>"),
    ),
    "roll": (
        *("move", "push", "shift", "slide", "roll", "nudge", "guide", "steer", "drive", "send"),
        *("displace", "pull", "shove", "drag", "bring", "take", "tap", "carry", "get", "put"),
    ),
    "go": ("go", "move", "travel", "roll", "slide", "run", "shift", "be sent", "drift", "step"),
    "goes": ("goes", "moves", "travels", "rolls", "slides", "shifts", "drifts", "went", "moved"),
    "going": ("going", "moving", "travelling", "rolling", "sliding", "shifting"),
    "give": ("give", "hand", "grant"),
    "a_push": (
        "one push",
        "a push",
        "a little push",
        "one step",
        "a step",
        "a nudge",
        "some force",
    ),
    "take": ("take", "choose", "find", "touch"),
}


def with_relation_rules(rules: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """`rules` on top of the rules for single relations, whose words they reuse."""
    return RELATION_RULES | rules
