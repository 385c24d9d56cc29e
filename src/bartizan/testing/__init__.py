"""The contract suites that we and third parties run against checks and executors; assertions, to be called from any test runner."""
