"""The nouns of bartizan: frozen structs, small protocols, errors and the statistics of a verdict. No I/O here."""
