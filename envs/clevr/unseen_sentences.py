"""Sentence patterns for the strict protocol: like the novel levels', and none of them.

Imagination may use these when the sentences of evaluation are held out of it too. A test proves
that no pattern is also one of training or evaluation.
"""

# Pair relations in the four styles of the rephrase level, any direction: `{d}` is the relation,
# `{o}` its opposite.
UNSEEN_PAIR_PATTERNS = (
    "I resent the {s} ball being {o} the {t} ball.",
    "You must not see the {s} ball {o} the {t} ball.",
    "Stop the {s} ball from lying {o} the {t} ball.",
    "No more of the {s} ball {o} the {t} ball.",
    "Briskly take the {s} ball to a place {d} the {t} ball.",
    "Lightly move the {s} ball and let it end up {d} the {t} ball.",
    "Calmly lead the {s} ball till it is {d} the {t} ball.",
    "Firmly haul the {s} ball {d} the {t} ball.",
    "Install the {s} globe {d} the {t} bead.",
    "Shove the {s} object so it sits {d} the {t} object.",
    "Stow the {s} sphere at some point {d} the {t} orb.",
    "Carry the {s} bead across so that it is {d} the {t} bead.",
    "I adore the {s} ball {d} the {t} ball.",
    "So glad to have the {s} ball {d} the {t} ball.",
    "It would please me to get the {s} ball {d} the {t} ball.",
    "I delight in the {s} ball lying {d} the {t} ball.",
)

UNSEEN_MOVE_PATTERNS = (
    "Tap the {s} ball so it moves {w}.",
    "See that the {s} ball shifts {p}.",
    "A little push {p}, on the {s} ball.",
    "Would you roll the {s} ball {w} now?",
    "Kindly slide the {s} ball {p}.",
    "The {s} ball has to be driven {w}.",
    "Now {w} with the {s} ball.",
    "Choose the {s} ball and send it {p}.",
)

UNSEEN_TWO_PATTERNS = (
    "Get {a} plus {b}.",
    "Aim for {a} together with {b}.",
    "See to {a} and likewise {b}.",
    "I wish for {a}, besides {b}.",
    "Take care to have {a} but also {b}, please.",
    "First have {a} and after that {b}.",
)
UNSEEN_THREE_PATTERNS = (
    "Get {a} plus {b} plus {c}.",
    "Aim for {a} together with {b} and {c}.",
    "See to {a}, then {b}, and likewise {c}.",
    "I wish for {a}, besides {b}, besides {c}.",
    "Three things: {a}; {b}; {c}.",
    "First have {a}, next {b}, and last {c}.",
)

UNSEEN_LINE_TEXTS = (
    "Get the balls to stand in single file by colour, red to cyan.",
    "Lay out one row: first red, then blue, then green, then purple, cyan last.",
    "Queue up the balls side by side in the colour order.",
    "From left to right, I want to see red, blue, green, purple and cyan in one line.",
    "Bring about a row with all balls ordered by colour.",
    "The colours from left to right, please: red, blue, green, purple, cyan.",
    "Move the balls into a straight colour-sorted series.",
    "See that the balls end up in a row that goes from red to cyan.",
)

UNSEEN_GATHER_TEXTS = (
    "Get everything near the green ball.",
    "Build a ring of balls with the green one in the middle.",
    "Group the four other balls at the green ball.",
    "Squeeze red, blue, purple and cyan round the green one.",
    "Make green the middle of a tight group of balls.",
    "Have the green ball enclosed by all the others.",
    "Let all balls meet at the green one.",
    "Crowd the whole set of balls up to the green ball.",
)
