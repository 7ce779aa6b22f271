//! The protocol's version, and how wire and stored types may change.
//!
//! A deploy replaces the Worker first and containers later, so a new Worker must serve the previous
//! runtime. To change a type that crosses a wire or is stored:
//!
//! 1. Add fields with `#[serde(default)]` and variants only at receivers that are deployed first.
//! 2. For anything else raise [`PROTOCOL_VERSION`] and keep serving [`PROTOCOL_OLDEST`].
//! 3. Add a golden file under `protocol/tests/golden/`; never delete or edit an old one.

/// The version that this code speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The oldest version that this code still serves.
pub const PROTOCOL_OLDEST: u32 = 1;

/// Whether a peer of this version can be served.
pub fn is_supported(version: u32) -> bool {
    (PROTOCOL_OLDEST..=PROTOCOL_VERSION).contains(&version)
}
