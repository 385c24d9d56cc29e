"""Model files: what loading them would do, told without loading them; loaders and a guard under the same policy; conversion; formats."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "identify": "formats",
        "Identified": "formats",
        "scan": "scanning",
        "scan_bytes": "scanning",
        "ScanReport": "reports",
        "FileReport": "reports",
        "Safety": "safety",
        "Policy": "pickles.policy",
        "load": "loading",
        "load_bytes": "loading",
        "convert": "converting",
    },
)
