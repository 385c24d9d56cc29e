"""The passport of a data set: what it holds, to the row, in a signed statement of a few kilobytes whatever its size.

formats      how a file is read, by its name
source       a file that is hashed by the way while it is read, so that digest and rows come from the same bytes
reading      tables, lines of text and plain files as streams of Arrow batches
cells        the types of the cells of a csv file, which has none
encoding     the canonical bytes of rows and columns: the same for every file format that can hold them
trees        Merkle trees (RFC 9162) over rows, files and lineage, with paths
row_set      the rows as a set, so that it can be proved that one is gone
rows         the rows of one file as they go by: their tree, the digest and profile of each column
one_file     one file to its record, from one reading that others take part in
journal      what a reading finished, so that one that was stopped goes on
recording    one pass over the data: everything that a passport says
statement    the passport as in-toto statement, its details beside it, the chain of hand-overs
verifying    is this data what the passport says?
difference   what changed between two passports, in words
proving      a row is in, a row is gone: proofs that need nothing but themselves and the passport
croissant    the passport as Croissant (JSON-LD) with the fields for responsible AI
"""
