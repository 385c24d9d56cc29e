"""A support assistant of a made-up shop: retrieval over its pages, a language model, and tools that act. Weak on purpose: see README.md."""
