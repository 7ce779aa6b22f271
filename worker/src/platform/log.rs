//! The Worker's log. Never a secret, never what a person wrote.

use std::fmt;

/// Says what happened.
pub(crate) fn note(what: fmt::Arguments<'_>) {
    worker::console_log!("{what}");
}

/// Says what went wrong and may need somebody to look.
pub(crate) fn trouble(what: fmt::Arguments<'_>) {
    worker::console_error!("{what}");
}
