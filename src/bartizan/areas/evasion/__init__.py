"""Evasion: inputs changed so that a model errs; attacks, proofs and defences. Names load on first use; importing it loads no torch."""

from bartizan.areas import offers

_MODULES = {
    "api": ("attack", "minimum_norm", "patch", "target_of", "universal"),
    "result": ("AtRadius", "Outcome", "Passes", "Result", "Trust"),
    "norms": ("Space",),
    "constraints": ("Constraints",),
    "trees": ("nearest_tree_evasion",),
    "linear": ("nearest_linear_evasion",),
    "blackbox.attacks": ("black_box",),
    "surrogate": ("transfer",),
    "text": ("attack_text",),
    "certificates.certify": ("certify",),
    "certificates.smoothing": ("certify_smoothed",),
    "gate": ("gate_model",),
    "defences.training": ("AdversarialLoss", "Recipe"),
    "defences.inner": ("Threat",),
    "defences.trainer": ("Plan", "train"),
    "defences.augmenting": ("harden_estimator",),
    "defences.perceptrons": ("NetPlan", "harden_perceptron"),
    "defences.estimators": ("compare_estimators", "compressed_estimators", "harden_rows", "standing"),
    "defences.declared": ("Measuring", "Training", "declared_model"),
    "defences.sanitising": ("measure_sanitiser",),
    "defences.detecting": ("measure_detector",),
    "defences.compressing": ("compare",),
    "defences.drop": ("drop_gate", "gain_gate"),
}

EXPORTS = {name: module for module, names in _MODULES.items() for name in names}
"""Public name -> module of this room that defines it."""

__getattr__, __dir__ = offers(__name__, EXPORTS)
