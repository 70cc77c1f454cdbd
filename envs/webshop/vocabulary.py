"""General words of the generated catalogue: brands, materials, option values, sentence frames."""

_BRAND_HEADS = "alder bran cor dun elm fen glen hal iver kest lor mar nor ost pel quil"
_BRAND_TAILS = "wick vale ton mere by stead"
BRANDS = tuple(
    (head + tail).capitalize() for head in _BRAND_HEADS.split() for tail in _BRAND_TAILS.split()
)

# Values of one group never count as each other when a purchase is judged; a test proves it.
OPTION_VALUES: dict[str, tuple[str, ...]] = {
    "color": (
        *("black", "white", "navy", "crimson", "emerald", "charcoal", "beige", "lavender", "gold"),
        *("silver", "coral", "turquoise", "chocolate", "mustard", "rose", "ivory", "olive"),
        *("burgundy", "sky blue", "tangerine", "lilac", "forest green", "light gray", "hot pink"),
    ),
    "size": ("small", "medium", "large", "xl", "xxl", "petite", "one size"),
    "shoe size": ("6", "7", "8", "9", "10.5", "11.5", "12.5"),
    "flavor": (
        *("vanilla", "dark chocolate", "strawberry", "salted caramel", "peanut butter", "lemon"),
        *("cinnamon", "honey", "mango", "sea salt", "wild berry", "maple", "ginger", "coconut"),
    ),
    "scent": (
        *("unscented", "citrus", "sandalwood", "eucalyptus", "jasmine", "cedar", "sweet almond"),
        *("rosemary", "tea tree", "ocean mist", "white lotus", "bergamot"),
    ),
    "pack size": ("single", "pair", "half dozen", "ten count", "24 pieces", "value box"),
    "volume": ("2 fl oz", "8.5 fluid ounce", "16 ounces", "travel bottle", "half gallon"),
    "length": ("3 feet", "6.6 ft", "10 foot", "15 meters", "extra short"),
    "capacity": ("32gb", "64gb", "128gb", "256gb", "1tb", "2tb"),
    "style": ("classic", "modern", "rustic", "minimalist", "vintage", "sporty", "deluxe"),
    "dimensions": ("5x7 inch", "16x20", "24x36in", "queen", "king", "twin", "full"),
    "finish": ("matte", "glossy", "brushed", "satin", "hammered", "weathered oak", "walnut"),
}

AUDIENCES = ("women", "men", "kids", "home", "office", "travel", "beginners", "families")

TITLE_FRAMES = (
    "{brand} {quality} {material} {kind}",
    "{brand} {kind} - {feature}, {material}",
    "{brand} {feature} {kind} for {audience}",
    "{quality} {kind} by {brand}, {feature}",
    "{brand} {material} {kind}, {feature} and {quality}",
    "{kind} for {audience}, {quality} {material} - {brand}",
)
OPENINGS = (
    "This {quality} {kind} from {brand} is made for {audience}.",
    "{brand} brings you a {kind} that fits into every day.",
    "A {quality} {kind} in {material}, designed with {audience} in mind.",
    "Meet the {kind} that {audience} keep coming back to.",
)
DETAILS = (
    "It is {feature}.",
    "You will like that it is {feature}.",
    "What sets it apart: {feature}.",
    "Our customers praise it as {feature}.",
)
CLOSINGS = (
    "Makes a thoughtful gift.",
    "If anything is wrong, write to us and we will put it right.",
    "Comes in a plain box.",
    "Ships within two days.",
)
BULLETS = (
    "{feature}: chosen for {audience}",
    "made of {material}, {feature}",
    "{quality} and {feature} for daily use",
    "a {kind} that stays {feature}",
)
REVIEWS = (
    "Exactly as described, and {feature}.",
    "Good value for a {quality} {kind}.",
    "I bought it for {audience} and would do so again.",
    "The {material} feels better than I expected.",
    "Arrived late, but the {kind} itself is fine.",
)
QUALITIES = (
    *(
        "premium",
        "elegant",
        "sturdy",
        "compact",
        "soft",
        "reliable",
        "handy",
        "everyday",
        "stylish",
    ),
    *("lightweight", "slim", "versatile", "simple", "refined", "cheerful", "practical"),
)
