"""Published advisories on packages in OSV form: fetched whole, kept in SQLite with their age, matched with versions.

What this promises: a package is "not affected" only where an advisory was read, its ranges were understood and the version lies outside
them. A version that cannot be read is unknown; missing or aged advisories are an error, never an empty list of findings.
"""
