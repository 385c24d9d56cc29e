"""One room per danger or duty: algorithms, checks, defences. Areas never import one another."""
