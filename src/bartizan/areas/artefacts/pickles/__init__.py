"""Pickles: recognised by their opcodes, read as the loaders read them, and judged by a reviewed policy, without ever loading one."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "HEAD": "recognise",
        "is_pickle": "recognise",
        "pickle_kind": "recognise",
        "unpacked_head": "recognise",
        "analyse": "reading",
        "Analysis": "analysis",
        "Limits": "analysis",
        "Loader": "analysis",
        "Policy": "policy",
        "judge": "judging",
        "inspect": "judging",
    },
)
