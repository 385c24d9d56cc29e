"""Privacy: what a model tells about the persons it learnt from."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(__name__, {"membership_inference": "inference", "Membership": "membership"})
