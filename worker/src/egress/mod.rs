//! What may leave: which hosts, which addresses, with which secret, and what may not come back.
//! Pure; `services` does it.
//!
//! Invariants: a URL goes out only after [`guard::check`], and to a name only after every address of
//! it was found public; a secret reaches only the hosts that its owner named.

pub(crate) mod address;
pub(crate) mod guard;
pub(crate) mod headers;
pub(crate) mod mask;
pub(crate) mod pattern;
pub(crate) mod resolve;
