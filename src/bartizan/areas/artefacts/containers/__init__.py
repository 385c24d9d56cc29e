"""Archives, compressed streams and pickles inside them, read the way the real loaders read them, without any of their libraries."""
