"""Where data and models come from, and whether they are still what was declared."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "record": "passport.recording",
        "verify": "passport.verifying",
        "differences": "passport.difference",
        "prove_row": "passport.proving",
        "prove_gone": "passport.proving",
    },
)
