//! decide(&Facts, &Ask) -> Decision: Cedar, preconditions, limits, explain.
