//! The channels by which people reach the agent from elsewhere: each verifies what comes in before
//! it is parsed, and knows how to send what goes out.

pub(crate) mod hook;
