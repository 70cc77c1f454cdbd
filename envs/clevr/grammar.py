"""The generating grammar of the text-only knowledge: rules as data, one function to expand them.

`<name>` stands for one of the options of rule `name`, or for a slot that the caller fills: `<s>`
and `<t>` are balls, `<d>` a relation, `<its>` the relation told from the target, `<link>` a verb
with its relation, `<w>` a movement. An option may be empty.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

Slots = Mapping[str, Callable[[np.random.Generator], str]]

RELATION_RULES: dict[str, tuple[str, ...]] = {
    "wanted": (
        *("<opener> <request> <closer>",) * 5,
        *("<statement>",) * 3,
        *("<pleasure>",) * 4,
        *("<inverse>",) * 2,
        *("<question>?", "<desire> <closer>"),
    ),
    "unwanted": (*("<displeasure>",) * 5, *("<ban>",) * 4, "<inverse_ban>"),
    "opener": (
        *("",) * 8,
        *("please", "now", "next", "okay,", "listen:", "today,", "if you can,", "the task:"),
        *("kindly", "just", "simply", "first of all,", "would you", "could you", "can you"),
    ),
    "closer": (
        *("",) * 8,
        *("please", "for me", "now", "thanks", "if possible", "right away", "at once"),
        *("as well", "too", "with one push", "a little", "in the end", "by and by", "once more"),
    ),
    "request": (*("<do>",) * 4, *("<manner> <do>",) * 3, "<do> <manner>", "with <care>, <do>"),
    "do": (
        *("<verb> <s> <d> <t>",) * 3,
        *("<verb> <s> <way> <d> <t>",) * 2,
        *("<verb> <s> <to> <spot> <d> <t>",) * 2,
        *("<verb> <s> <until> it <rests> <d> <t>",) * 3,
        *("<verb> <s> <until> it <link> <t>",),
        *("<verb> <s> and <verb> it <d> <t>", "find <spot> <d> <t> and <verb> <s> there"),
        *("<let> <s> <rest> <d> <t>",) * 2,
        *("<cause> <s> to <rest> <d> <t>", "<have> <s> <done> <d> <t>"),
        *("<ensure> <s> <link> <t>",) * 2,
        *("<bring_about> <layout> <where> <s> <link> <t>",) * 2,
        *("<bring_about> <layout> with <s> <d> <t>", "<have> <s> <d> <t>"),
    ),
    "verb": (
        *("push", "move", "put", "place", "set", "bring", "get", "shift", "slide", "roll"),
        *("nudge", "guide", "steer", "drive", "work", "position", "situate", "relocate"),
        *("transfer", "deposit", "park", "station", "arrange", "drag", "carry", "shove", "send"),
        *("take", "displace", "pull", "lay", "leave", "keep", "hold", "lead", "haul", "install"),
        *("draw", "locate", "plant", "stow", "drop", "return", "settle", "rest", "stand"),
    ),
    "gerund": (
        *("pushing", "moving", "putting", "placing", "setting", "bringing", "getting", "sliding"),
        *("shifting", "rolling", "guiding", "steering", "keeping", "holding", "leaving"),
    ),
    "done": (
        *("pushed", "moved", "put", "placed", "set", "brought", "shifted", "slid", "rolled"),
        *("nudged", "guided", "steered", "driven", "positioned", "located", "parked", "kept"),
        *("deposited", "stationed", "situated", "transferred", "left", "held", "drawn"),
    ),
    "manner": (
        *("gently", "carefully", "quickly", "slowly", "smoothly", "softly", "immediately"),
        *("quietly", "patiently", "steadily", "calmly", "neatly", "firmly", "lightly", "briskly"),
    ),
    "care": ("care", "patience", "one push", "some force", "a light touch", "joy", "speed"),
    "way": ("over", "around", "across", "along", "all the way", "down", "straight", "out", "up"),
    "to": ("to", "toward", "into", "onto", "up to", "over to"),
    "spot": ("a place", "a spot", "a position", "some point", "the area", "the region", "a site"),
    "until": ("until", "till", "so that", "so", "such that", "to where", "to the point where"),
    "let": ("let", "make", "have", "help"),
    "have": ("have", "see", "find", "get", "keep", "leave"),
    "cause": ("cause", "get", "allow", "bring", "arrange for", "plan for", "wait for", "force"),
    "ensure": (
        *("ensure", "make sure", "make sure that", "see to it that", "take care that"),
        *("arrange that", "see that", "check that", "bring it about that", "order things so that"),
    ),
    "bring_about": ("bring about", "create", "make", "build", "form", "aim for", "give me", "draw"),
    "layout": (
        *("a layout", "a scene", "an arrangement", "a picture", "the arrangement", "any layout"),
        *("a setting", "some arrangement", "a sight"),
    ),
    "where": ("where", "in which", "such that", "so that"),
    "rest": (
        *(
            "be",
            "lie",
            "rest",
            "stand",
            "sit",
            "stay",
            "remain",
            "settle",
            "end up",
            "come to rest",
        ),
        *("be located", "go", "be found", "land", "stop", "belong"),
    ),
    "rests": (
        *("is", "lies", "rests", "stands", "sits", "stays", "remains", "settles", "ends up"),
        *("comes to rest", "is located", "goes", "is found", "lands", "stops", "belongs"),
    ),
    "resting": ("being", "lying", "resting", "standing", "sitting", "staying", "remaining"),
    "statement": (
        *("<s> <link> <t>",) * 2,
        *("<s> <must> <rest> <d> <t>",) * 2,
        *("<s> <is> <done> <d> <t>", "<s> <must> be <done> <d> <t>"),
        *("<who> <did> <s> <d> <t>", "<d> <t> <rests> <s>", "<d> <t> I want <s>"),
        *("<d> <t> is where <s> <must> <rest>", "the place of <s> is <d> <t>", "<s> <d> <t>"),
    ),
    "must": ("must", "should", "has to", "needs to", "will", "ought to", "may", "shall", "can"),
    "is": ("is", "was", "gets", "has been", "will be", "is being", "got"),
    "who": ("we", "they", "you", "someone", "I", "somebody"),
    "did": (
        "pushed",
        "moved",
        "put",
        "placed",
        "brought",
        "rolled",
        "want",
        "see",
        "find",
        "drove",
    ),
    "desire": (
        *("<i_want> <s> <d> <t>", "<i_want> <s> to <rest> <d> <t>", "<i_want> <thing>"),
        *("<i_want> <s> <done> <d> <t>", "my wish is <thing>", "what I wish for is <thing>"),
    ),
    "i_want": ("I want", "I need", "I would like", "we want", "I wish for", "we need", "I expect"),
    "question": (
        *("<can_you> <do>", "is <s> <d> <t>", "was <s> <done> <d> <t>", "will <s> <rest> <d> <t>"),
        *("<can_you> <manner> <do>", "may I ask you to <do>", "shall we <do>"),
    ),
    "can_you": ("can you", "could you", "would you", "will you", "could you please"),
    # A situation as a noun or as a clause: what pleasure and displeasure are about.
    "thing": (
        *("<s> <d> <t>",) * 2,
        *("<having> <s> <d> <t>",) * 2,
        *("<s> <resting> <d> <t>",) * 2,
        *("to <have> <s> <d> <t>", "the fact that <s> <link> <t>", "<layout> with <s> <d> <t>"),
    ),
    "clause": (*("<s> <link> <t>",) * 3, "<s> were <d> <t>", "I <have> <s> <d> <t>"),
    "having": (
        *(
            "having",
            "having",
            "seeing",
            "finding",
            "keeping",
            "getting",
            "the sight of",
            "the idea of",
        ),
        *("watching", "a scene with", "the thought of"),
    ),
    "when": ("when", "if", "that", "whenever"),
    "pleasure": (
        *("<i> <like> <thing>",) * 3,
        *("<i> <like> it <when> <clause>",) * 2,
        *("<thing> <pleases>",) * 3,
        *("it <pleases> <when> <clause>",) * 2,
        *("what <joy> <thing>!", "what <joy> that <clause>!", "<joy> is <thing>"),
        *("how <nice> that <clause>!", "how <nice> it is <when> <clause>!", "how <nice>: <thing>!"),
        *("nothing <pleases> more than <thing>", "nothing is <nicer> than <thing>"),
        *("my favourite <sight> is <thing>", "my favourite <sight>: <thing>"),
        *("<i_am> <glad> <when> <clause>", "<i_am> <glad> <about> <thing>", "<glad> with <thing>"),
    ),
    "i": ("I", "I", "we", "I really", "I truly", "everybody", "I do", "I always"),
    "like": (
        *(
            "like",
            "love",
            "enjoy",
            "adore",
            "prefer",
            "favour",
            "treasure",
            "welcome",
            "delight in",
        ),
        *("take joy in", "find joy in", "take pleasure in", "long for", "wish for", "am fond of"),
        *("am happy about", "am delighted with", "care for", "find happiness in"),
    ),
    "pleases": (
        *("pleases me", "delights me", "makes me happy", "makes me happier", "brings me joy"),
        *("brings happiness", "would please me", "is wonderful", "is a joy", "is lovely"),
        *("brings me delight", "is what I wish for", "is my favourite sight", "is nice"),
        *("makes us happy", "gives me happiness", "pleases everybody", "would be wonderful"),
    ),
    "joy": ("joy", "a joy", "a delight", "happiness", "a pleasure", "a wonderful sight", "bliss"),
    "nice": ("wonderful", "nice", "lovely", "delightful", "pleasing", "great", "happy"),
    "nicer": ("nicer", "better", "happier", "lovelier", "more wonderful"),
    "sight": ("sight", "thing", "view", "picture", "layout", "arrangement", "place"),
    "i_am": ("I am", "we are", "I would be", "I was", "it makes me", "I feel"),
    "glad": ("glad", "happy", "delighted", "pleased", "so glad", "happier"),
    "about": ("about", "with", "to see", "to find", "to have"),
    # The opposite of the relation that `<d>` names is meant.
    "displeasure": (
        *("<i> <dislike> <thing>",) * 3,
        *("<i> <dislike> it <when> <clause>",) * 2,
        *("<thing> <bothers>",) * 3,
        *("it <bothers> <when> <clause>",) * 2,
        *("<nobody> <likes> <thing>",) * 2,
        *("what <pity> <thing>!", "what <pity> that <clause>!", "<pity> is <thing>"),
        *("how <awful> that <clause>!", "how <awful> it is <when> <clause>!"),
        *("nothing <bothers> more than <thing>", "nothing is <worse> than <thing>"),
        *("my least favourite <sight> is <thing>", "<i_am> <sorry> <when> <clause>"),
        *("<i_am> <sorry> <about> <thing>", "what I do not wish for is <thing>"),
        *("<i> hate the fact that <clause>", "<i> hate to see that <clause>"),
    ),
    "dislike": (
        *("dislike", "hate", "detest", "do not like", "cannot stand", "do not want", "never want"),
        *("dislike", "hate", "don't want", "resent", "am against", "am unhappy about", "oppose"),
        *("do not enjoy", "do not love", "am not fond of", "am bothered by", "am tired of"),
    ),
    "nobody": ("nobody", "no one", "none of us"),
    "likes": ("likes", "wants", "wants", "enjoys", "loves", "needs", "asked for", "wishes for"),
    "bothers": (
        *("bothers me", "annoys me", "upsets me", "makes me sad", "is not what I want"),
        *("bothers us", "is not what I like", "is not wanted", "is unwanted", "is wrong"),
        *("is not what we wish for", "is terrible", "is forbidden", "is not allowed", "is bad"),
        *("does not please me", "is a nuisance", "is to be avoided", "is not what we need"),
        *("brings me no joy", "is not my wish", "was not what I wish for"),
    ),
    "pity": ("a pity", "a shame", "a nuisance", "a sad sight", "an awful sight", "misery"),
    "awful": ("awful", "sad", "terrible", "annoying", "bad", "wrong"),
    "worse": ("worse", "sadder", "more annoying", "more terrible"),
    "sorry": ("sorry", "sad", "unhappy", "annoyed", "bothered", "upset"),
    "ban": (
        *("<never> <do>",) * 3,
        *("<s> <must_not> <rest> <d> <t>",) * 3,
        *("<s> <must_not> be <done> <d> <t>", "<never> <let> <s> <rest> <d> <t>"),
        *("<avoid> <thing>",) * 3,
        *("<avoid> <layout> <where> <s> <link> <t>", "<avoid> <layout> with <s> <d> <t>"),
        *("avoid that <clause>", "<keep_from> <s> from <resting> <d> <t>", "no <s> <d> <t>"),
        *("anything but <s> <d> <t>", "do not <do>", "do not allow <s> to <rest> <d> <t>"),
        *("<do_not> <rest> <s> <d> <t>", "<d> <t>, <s> <must_not> <rest>"),
    ),
    "never": ("never", "do not", "don't", "you must not", "please do not", "please never"),
    "do_not": ("do not let", "never let", "don't let", "do not make", "never make"),
    "must_not": (
        *("must not", "should not", "must never", "cannot", "may not", "should never"),
        *("ought not to", "is not to", "will not"),
    ),
    "avoid": ("avoid", "prevent", "rule out", "no more of", "stop", "undo", "refuse", "avoid any"),
    "keep_from": ("stop", "keep", "prevent"),
    # The same facts told from the target.
    "inverse": (
        *("<t> <must> have <s> <its>", "<t> has <s> <its>", "let <t> have <s> <its>"),
        *("<verb> <s> <until> <t> <has> it <its>", "<verb> <s> <until> <t> <has> <s> <its>"),
        *("<t> with <s> <its>", "I like <t> with <s> <its>", "<verb> <s> to <t>, <its>"),
        *("<manner> <verb> <s>, <until> <t> <has> it <its>", "give <t> <s> <its>"),
        *("<ensure> <t> <has> <s> <its>", "<t> wants <s> <its>"),
    ),
    "has": ("has", "gets", "keeps", "holds", "sees", "finds", "had"),
    "inverse_ban": (
        *("<t> <must_not> <keep> <s> <its>", "<t> <must_not> have <s> <its>"),
        *("do not let <t> have <s> <its>", "I dislike <t> with <s> <its>", "<t> hates <s> <its>"),
        *("never should <t> have <s> <its>", "avoid <t> <having> <s> <its>"),
    ),
    "keep": ("get", "keep", "see", "find", "hold", "meet"),
}

_NAME = re.compile(r"<(\w+)>")


def expand(
    template: str, rules: Mapping[str, tuple[str, ...]], slots: Slots, rng: np.random.Generator
) -> str:
    """`template` with every `<name>` replaced by a slot's text or by a random option, in depth."""

    def replace(match: re.Match[str]) -> str:
        name = match[1]
        if name in slots:
            return slots[name](rng)
        return expand(pick(rules[name], rng), rules, slots, rng)

    return " ".join(_NAME.sub(replace, template).split())


def pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    """One of `options`, all equally likely."""
    return options[int(rng.integers(len(options)))]


def as_sentence(text: str, rng: np.random.Generator) -> str:
    """`text` as people type it: mostly with a capital letter and a full stop."""
    if rng.random() < 0.85:
        text = text[:1].upper() + text[1:]
    if text[-1] not in ".!?" and rng.random() < 0.85:
        text += "."
    return text.replace(" ,", ",").replace(" .", ".").replace("!.", "!")
