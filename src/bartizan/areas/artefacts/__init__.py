"""Model files: what they are by content, whether loading them runs code, and who loads them."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(__name__, {"identify": "formats", "Identified": "formats"})
