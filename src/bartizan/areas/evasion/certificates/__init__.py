"""Certificates: lower bounds of robust accuracy that no attack can undercut, by bound propagation and by randomised smoothing."""
