"""From findings to what an owner answers for: risks, decisions, policy, control states, the checklist and framework coverage."""
