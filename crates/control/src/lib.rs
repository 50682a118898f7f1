//! What the product decides: identity, inventory, access, sessions, vault acts.
