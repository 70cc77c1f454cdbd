"""The words of the CLEVR-Robot goals: every sentence pattern of every level, as plain data.

No two levels share a pattern, which a test proves. The counts and kinds of sentences follow the
paper and the reference code; the sentences themselves are our own. `{s}` and `{t}` are colours.
"""

COLORS = ("red", "blue", "green", "purple", "cyan")

# Phrases of a relation by direction: behind, left, front, right (the order of `Direction`).
RELATION_PHRASES = (
    ("behind", "to the back of", "at the rear of"),
    ("to the left of", "on the left side of", "left of"),
    ("in front of", "to the front of", "ahead of"),
    ("to the right of", "on the right side of", "right of"),
)

TRAIN_PATTERNS = (
    "Push the {s} ball {d} the {t} ball.",
    "Move the {s} ball {d} the {t} ball.",
    "Put the {s} ball {d} the {t} ball.",
    "Can you push the {s} ball {d} the {t} ball?",
    "Can you move the {s} ball {d} the {t} ball?",
    "Can you put the {s} ball {d} the {t} ball?",
    "Is the {s} ball {d} the {t} ball?",
    "Was the {s} ball {d} the {t} ball?",
    "You push the {s} ball {d} the {t} ball.",
    "You move the {s} ball {d} the {t} ball.",
    "The {s} ball stays {d} the {t} ball.",
    "You pushed the {s} ball {d} the {t} ball.",
    "You moved the {s} ball {d} the {t} ball.",
    "The {s} ball stayed {d} the {t} ball.",
    "The {s} ball is pushed {d} the {t} ball.",
    "The {s} ball is moved {d} the {t} ball.",
    "The {s} ball was pushed {d} the {t} ball.",
    "The {s} ball was moved {d} the {t} ball.",
)

# Four tens, each bound to one direction: the opposite is negated or disliked (behind), adverbs
# (left), other nouns and verbs (front), statements of pleasure (right).
REPHRASE_PATTERNS = (
    (
        "I dislike seeing the {s} ball in front of the {t} ball.",
        "The {s} ball must not remain in front of the {t} ball.",
        "Never leave the {s} ball in front of the {t} ball.",
        "It bothers me when the {s} ball sits in front of the {t} ball.",
        "Do not let the {s} ball end up in front of the {t} ball.",
        "I hate that the {s} ball is located in front of the {t} ball.",
        "Having the {s} ball in front of the {t} ball is not what I wish for.",
        "Nobody wants the {s} ball in front of the {t} ball.",
        "Avoid any arrangement with the {s} ball ahead of the {t} ball.",
        "The {t} ball should not have the {s} ball in front of it.",
    ),
    (
        "Gently roll the {s} ball until it lies left of the {t} ball.",
        "Carefully guide the {s} ball toward the left side of the {t} ball.",
        "Quickly bring the {s} ball over to the left of the {t} ball.",
        "Slowly slide the {s} ball leftwards of the {t} ball.",
        "Smoothly steer the {s} ball to a spot left of the {t} ball.",
        "Softly nudge the {s} ball so that it comes to rest left of the {t} ball.",
        "Immediately get the {s} ball to the left-hand side of the {t} ball.",
        "Quietly shift the {s} ball until the {t} ball has it on its left.",
        "Patiently work the {s} ball around to the left of the {t} ball.",
        "Steadily drive the {s} ball to where it is left of the {t} ball.",
    ),
    (
        "Position the {s} sphere before the {t} sphere.",
        "Set the {s} orb down ahead of the {t} orb.",
        "Situate the {s} globe forward of the {t} globe.",
        "Relocate the {s} marble to the near side of the {t} marble.",
        "Transfer the {s} object so it stands before the {t} object.",
        "Deposit the {s} sphere at the front of the {t} globe.",
        "Park the {s} orb ahead of the {t} sphere.",
        "Arrange for the {s} bead to lie before the {t} bead.",
        "Station the {s} globe at the front side of the {t} marble.",
        "Bring about a layout where the {s} marble precedes the {t} marble.",
    ),
    (
        "I would be delighted if the {s} ball were right of the {t} ball.",
        "It pleases me when the {s} ball is to the right of the {t} ball.",
        "What joy to find the {s} ball on the right side of the {t} ball!",
        "I love seeing the {s} ball at the right of the {t} ball.",
        "Nothing makes me happier than the {s} ball right of the {t} ball.",
        "I am fond of having the {s} ball to the right of the {t} ball.",
        "How wonderful it is that the {s} ball rests to the right of the {t} ball!",
        "My favourite sight is the {s} ball on the right of the {t} ball.",
        "I enjoy it when the {s} ball settles right of the {t} ball.",
        "The {s} ball being to the right of the {t} ball brings me happiness.",
    ),
)

# One ball, one direction: `{w}` is an adverb, `{p}` a phrase.
MOVE_ADVERBS = ("backward", "leftward", "forward", "rightward")
MOVE_PHRASES = ("to the back", "to the left", "to the front", "to the right")
MOVE_PATTERNS = (
    "Move the {s} ball {w}.",
    "Push the {s} ball {w} a little.",
    "Give the {s} ball one push {p}.",
    "Let the {s} ball travel {w}.",
    "Make the {s} ball go {p}.",
    "Shift the {s} ball {p}.",
    "Nudge the {s} ball {w}.",
    "Roll the {s} ball {p}.",
    "Please send the {s} ball {w}.",
    "Could you drive the {s} ball {p}?",
    "Have the {s} ball slide {w}.",
    "The {s} ball should go {w}.",
    "The {s} ball needs to move {p}.",
    "I want the {s} ball pushed {p}.",
    "I would like the {s} ball to roll {w}.",
    "Take the {s} ball and push it {p}.",
    "One step {w} for the {s} ball.",
    "Get the {s} ball moving {p}.",
    "Steer the {s} ball {w}.",
    "Displace the {s} ball {p}.",
)

# Six verb patterns each; `{a}`, `{b}`, `{c}` are "the red ball to the left of the blue ball".
TWO_PATTERNS = (
    "Push {a} and also push {b}.",
    "Move {a}, and then move {b}.",
    "Keep {a} while keeping {b}.",
    "Place {a}, and place {b} as well.",
    "Bring {a} and, in addition, bring {b}.",
    "Make sure to have {a} and to have {b}.",
)
THREE_PATTERNS = (
    "Push {a}, push {b}, and also push {c}.",
    "Move {a}, then move {b}, and then move {c}.",
    "Keep {a} while keeping {b} and keeping {c}.",
    "Place {a}, place {b}, and place {c} as well.",
    "Bring {a}, bring {b} and, in addition, bring {c}.",
    "Make sure to have {a}, to have {b} and to have {c}.",
)

LINE_TEXTS = (
    "Arrange all balls in a line from left to right: red, blue, green, purple, cyan.",
    "Line the balls up in colour order, starting with red at the left end.",
    "Form a horizontal row of balls in the order red, blue, green, purple, cyan.",
    "Make a straight line out of the five balls, sorted by colour.",
    "Sort the balls into one row by their colour, red first and cyan last.",
    "Put the balls side by side so that they go from red on the left to cyan on the right.",
    "Create a line that runs red, blue, green, purple, cyan.",
    "The five balls should make up a row in colour order.",
    "Please build a colour-sorted line with every ball in it.",
    "Could you order the balls in a row, beginning with red and ending with cyan?",
    "I want to see one straight row of the balls, from red through to cyan.",
    "Set every ball in a left-to-right line by colour.",
    "Place the balls next to each other in a row: red, blue, green, purple, then cyan.",
    "Organise the balls as a queue with red at the far left and cyan at the far right.",
    "Let the balls form a line in the sequence red, blue, green, purple, cyan.",
    "Align the balls horizontally in their colour order.",
    "Have all five balls stand in line, leftmost red, rightmost cyan.",
    "Rank the balls by colour along a horizontal line.",
    "Move the balls until they are lined up as red, blue, green, purple and cyan.",
    "String the balls together in a row, in order of colour.",
)

GATHER_TEXTS = (
    "Gather all balls around the green ball.",
    "Collect every ball close to the green one.",
    "Bring the other balls together around the green ball.",
    "Form a circle of balls with green in the middle.",
    "Surround the green ball with all the other balls.",
    "Make the other four balls huddle round the green ball.",
    "Put the green ball at the centre of all the others.",
    "Cluster the balls tightly about the green ball.",
    "All balls should crowd around the green one.",
    "Please heap the balls up near the green ball.",
    "Could you assemble the rest of the balls around green?",
    "I want every other ball to touch the green ball.",
    "Let the red, blue, purple and cyan balls enclose the green ball.",
    "Pull the whole group of balls in toward the green ball.",
    "Have the remaining balls encircle the green ball.",
    "Push each ball next to the green ball, until green is ringed by them.",
    "The green ball should end up in the midst of the other four.",
    "Pack the balls closely round the green centre ball.",
    "Draw all the others to the green ball.",
    "Concentrate the five balls at the place of the green ball.",
)
