"""Personal data and secrets: found in texts and tables, measured, taken out."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "Hit": "hits",
        "scan_text": "scan",
        "scan_texts": "scan",
        "scan_pieces": "scan",
        "scan_table": "columns",
        "scan_file": "files",
        "Column": "columns",
        "ColumnScan": "columns",
        "anonymise": "cleaning",
        "anonymise_text": "cleaning",
        "Action": "cleaning",
        "Wish": "cleaning",
        "quasi_identifiers": "cleaning",
        "likeness": "groups",
        "mondrian": "groups",
        "Pseudonyms": "pseudonyms",
        "load_key": "pseudonyms",
        "NameFinder": "names",
        "Rules": "rules",
        "recogniser": "rules",
    },
)
