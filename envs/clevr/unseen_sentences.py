"""Sentence patterns for the strict protocol: like the novel levels', and none of them.

Imagination may use these when the sentences of evaluation are held out of it too. A test proves
that no pattern is also one of training or evaluation.
"""

# Pair relations in the four styles of the rephrase level, any direction: `{d}` is the relation,
# `{o}` its opposite.
UNSEEN_PAIR_PATTERNS = (
    "I object to the {s} ball being {o} the {t} ball.",
    "Under no circumstances may the {s} ball stay {o} the {t} ball.",
    "Stop the {s} ball from lying {o} the {t} ball.",
    "Rid me of the {s} ball {o} the {t} ball.",
    "Swiftly take the {s} ball to a place {d} the {t} ball.",
    "Lightly tap the {s} ball, ending {d} the {t} ball.",
    "Calmly lead the {s} ball till it is {d} the {t} ball.",
    "Cautiously haul the {s} ball {d} the {t} ball.",
    "Install the {s} bubble {d} the {t} bubble.",
    "Shove the {s} pearl to sit {d} the {t} pearl.",
    "Lodge the {s} sphere somewhere {d} the {t} orb.",
    "Carry the {s} bead across so that it is {d} the {t} bead.",
    "I adore the {s} ball {d} the {t} ball.",
    "Glad am I with the {s} ball {d} the {t} ball.",
    "It would make my day to get the {s} ball {d} the {t} ball.",
    "I am keen on the {s} ball lying {d} the {t} ball.",
)

UNSEEN_MOVE_PATTERNS = (
    "Tap the {s} ball so it moves {w}.",
    "See that the {s} ball shifts {p}.",
    "A single push {p}, on the {s} ball.",
    "Would you roll the {s} ball {w} now?",
    "Kindly slide the {s} ball {p}.",
    "The {s} ball has to be driven {w}.",
    "Now {w} with the {s} ball.",
    "Choose the {s} ball and send it {p}.",
)

UNSEEN_TWO_PATTERNS = (
    "Get {a} plus {b}.",
    "Achieve {a} together with {b}.",
    "See to it that you hold {a} and likewise {b}.",
    "I wish for {a}; besides that, {b}.",
    "Not only {a} but {b} too, please.",
    "Work on {a} until you can add {b}.",
)
UNSEEN_THREE_PATTERNS = (
    "Get {a} plus {b} plus {c}.",
    "Achieve {a} together with {b} and {c}.",
    "See to it that you hold {a}, likewise {b}, likewise {c}.",
    "I wish for {a}; besides that, {b}; besides that, {c}.",
    "Three wishes: {a}; {b}; {c}.",
    "Work on {a} until you can add {b}, next {c}.",
)

UNSEEN_LINE_TEXTS = (
    "Get the balls to stand in single file by colour, red to cyan.",
    "Lay out one row: first red, next blue, next green, next purple, last cyan.",
    "Chain the balls sideways in the usual order of colours.",
    "Going rightwards, I should meet red, blue, green, purple and cyan in one line.",
    "Bring about a neat row with all balls ordered by colour.",
    "Line: red ball, blue ball, green ball, purple ball, cyan ball.",
    "Turn the heap of balls into a straight colour-ordered series.",
    "See that the balls end in a sideways line that red opens and cyan closes.",
)

UNSEEN_GATHER_TEXTS = (
    "Get everything near the green ball.",
    "Build a ring of balls with the green one inside.",
    "Group the four other balls at the green ball.",
    "Squeeze red, blue, purple and cyan against green.",
    "Make green the middle of a tight bunch of balls.",
    "Have the green ball enclosed on every side by the others.",
    "Let all balls meet at the green one.",
    "Crowd the whole set of balls up to the green ball.",
)
