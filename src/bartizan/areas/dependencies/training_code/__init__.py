"""What in training code opens a door: code is parsed, never run; each remark has a line, a reason and a repair.

What this promises: precision before completeness. A rule speaks where the code says so itself, with literals that it can see; what is
decided at run time is not guessed at. `# bartizan: allow RULE because REASON` on a line silences one rule there, with its reason kept.
"""
