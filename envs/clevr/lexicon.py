"""Words of the world's language: what a speaker knows before seeing a single ball move.

Lists are by direction (behind, left, front, right) where they are about directions.
"""

BALL_NOUNS = ("ball", "sphere", "orb", "globe", "marble", "bead", "object", "one")

RELATION_WORDS = (
    (
        *("behind", "to the back of", "at the rear of", "at the back of", "in back of"),
        *("to the rear of", "on the far side of", "to the far side of", "backward of"),
        *("rearward of", "at the back side of", "toward the back side of"),
    ),
    (
        *("to the left of", "on the left side of", "left of", "on the left of", "at the left of"),
        *("leftward of", "leftwards of", "to the left-hand side of", "on the left-hand side of"),
        *("to the left side of", "at the left side of", "toward the left side of"),
    ),
    (
        *("in front of", "to the front of", "ahead of", "before", "forward of", "at the front of"),
        *("on the near side of", "to the near side of", "at the front side of", "on the front of"),
        *("frontward of", "toward the front side of"),
    ),
    (
        *("to the right of", "on the right side of", "right of", "on the right of"),
        *("at the right of", "rightward of", "rightwards of", "to the right-hand side of"),
        *("on the right-hand side of", "to the right side of", "at the right side of"),
        "toward the right side of",
    ),
)

# The same relation told from the target: "the blue ball has the red ball on its left".
POSSESSIVE_WORDS = (
    (
        "behind it",
        "at its back",
        "to its rear",
        "at its rear",
        "in back of it",
        "at the back of it",
    ),
    ("on its left", "to its left", "at its left", "on its left side", "left of it"),
    ("in front of it", "ahead of it", "at its front", "before it", "to its front"),
    ("on its right", "to its right", "at its right", "on its right side", "right of it"),
)

# Verbs that hold a relation in themselves; left and right have none.
RELATION_VERBS = (
    ("follows", "comes after", "trails", "is preceded by"),
    (),
    ("precedes", "comes before", "leads", "is followed by"),
    (),
)

MOVE_WORDS = (
    ("backward", "backwards", "to the back", "to the rear", "toward the back", "back", "rearward"),
    ("leftward", "leftwards", "to the left", "to the left side", "toward the left", "left"),
    ("forward", "forwards", "to the front", "toward the front", "ahead", "frontward"),
    ("rightward", "rightwards", "to the right", "to the right side", "toward the right", "right"),
)

# Sets of words that stand for each other; the first names the set.
SYNONYMS = (
    ("ball", "sphere", "orb", "globe", "marble", "bead", "object"),
    ("move", "push", "shift", "slide", "roll", "nudge", "guide", "steer", "drive", "displace"),
    ("put", "place", "set", "position", "situate", "deposit", "park", "station", "relocate"),
    ("bring", "carry", "send", "take", "transfer", "get", "work"),
    ("gently", "softly", "carefully", "patiently", "quietly", "smoothly"),
    ("quickly", "immediately", "at once", "swiftly"),
    ("slowly", "steadily", "calmly"),
    ("like", "love", "enjoy", "be fond of", "be delighted by"),
    ("dislike", "hate", "be bothered by", "avoid"),
    ("happiness", "joy", "pleasure", "delight"),
    ("line", "row", "queue", "sequence", "string", "chain"),
    ("arrange", "order", "sort", "organise", "align", "rank", "line up"),
    ("gather", "collect", "cluster", "assemble", "concentrate", "crowd", "huddle", "heap", "pack"),
    ("surround", "encircle", "ring", "enclose"),
    ("middle", "centre", "midst"),
    ("rest", "lie", "stay", "sit", "stand", "settle", "remain"),
    ("near", "close to", "next to", "beside", "round", "about"),
    ("also", "as well", "in addition", "too"),
    ("before", "in front of", "ahead of", "forward of"),
    ("make", "form", "create", "build"),
    ("layout", "arrangement", "picture", "scene"),
    ("rest", "others", "remaining"),
)

OPPOSITES = (
    *(("left", "right"), ("leftward", "rightward"), ("front", "back"), ("in front of", "behind")),
    *(("forward", "backward"), ("before", "after"), ("near", "far"), ("first", "last")),
    *(("like", "dislike"), ("love", "hate"), ("always", "never"), ("everybody", "nobody")),
    *(("leftmost", "rightmost"), ("precede", "follow"), ("quickly", "slowly"), ("let", "prevent")),
)
