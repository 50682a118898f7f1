//! SSH: login, deny, hold, dial, relay.
