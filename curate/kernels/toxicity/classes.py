"""What a word can be to a sentence: the classes whose order and company the model's features see."""

from __future__ import annotations

CLASSES = (
    "none",
    "group",  # a group of people, in a neutral word: all of them are one word to the model
    "slur",  # against a group
    "reclaimed",  # a slur that its targets also use of themselves
    "insult",
    "profane",
    "sexual",  # explicit
    "body",  # clinical words of body, sex and sexual violence
    "dehuman",  # vermin, disease, filth
    "negative",
    "violence",
    "hate",
    "negation",
    "you",
    "we",
    "they",
    "counter",  # names the wrong: racist, slur, harassment
    "report",  # speech about speech: said, called, word
    "positive",
    "subject",  # medicine, law, learning, law enforcement, literature
    "people",
)
N_CLASSES = len(CLASSES)
GROUP = CLASSES.index("group")

# In the sentence beside, these change what a sentence says ...
SPEAKS_OF = sum(1 << CLASSES.index(name) for name in ("counter", "report", "positive", "subject", "group", "you"))
# ... if it has one of these.
TOXIC = sum(
    1 << CLASSES.index(name)
    for name in ("slur", "reclaimed", "insult", "profane", "sexual", "body", "dehuman", "negative", "violence", "hate")
)
