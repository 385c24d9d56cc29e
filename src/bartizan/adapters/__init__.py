"""Foreign formats and frameworks: makes data sets and targets out of files that nobody has vouched for."""
