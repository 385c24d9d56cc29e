"""Poisoning: rows that somebody placed in training data to steer what is learnt from it."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "screen": "screening",
        "Screen": "screening",
        "label_votes": "votes",
        "shared_marks": "marks",
        "spectral_score": "activations",
        "activation_clusters": "activations",
        "frequent_patches": "patches",
        "find_trigger_tokens": "trigger_tokens",
        "compare_sources": "source_signs",
        "influence": "row_influence",
        "self_influence": "row_influence",
        "culprits": "row_influence",
        "last_layer": "bartizan.adapters.last_layers",
    },
)
