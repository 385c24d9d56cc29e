"""Quality of data: wrong labels, outliers, duplicates, leakage between splits, and whom the data leaves out."""

from bartizan.areas import offers

__getattr__, __dir__ = offers(
    __name__,
    {
        "find_leakage": "bartizan.methods.row_overlap",
        "Leakage": "bartizan.methods.row_overlap",
        "label_errors": "suspect_labels",
        "LabelErrors": "suspect_labels",
        "outliers": "far_rows",
        "near_texts": "alike_texts",
        "near_images": "alike_pictures",
        "duplicate_rows": "duplicates",
        "duplicate_pictures": "duplicates",
        "table_leakage": "leaked_rows",
        "groups_of": "representation",
        "widest_gap": "representation",
        "gate": "schema_gate",
        "infer": "schema_infer",
        "judge": "schema_gate",
    },
)
