//! Rule sets of the policy: files beside the policies, hashed and pinned with them, and two that come with the product.

/// How the name of a file with a rule set ends.
pub const RULES_FILE: &str = ".rules.toml";

/// Sets that are always there; nothing applies until a policy names it.
pub const READY: [(&str, &str); 2] = [
    ("high-risk.rules.toml", include_str!("high-risk.rules.toml")),
    ("network-device.rules.toml", include_str!("network-device.rules.toml")),
];

#[cfg(test)]
mod tests;
