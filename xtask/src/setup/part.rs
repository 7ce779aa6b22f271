//! What every part of a setup can be asked.

use anyhow::Result;

/// Who cannot do without a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Building fails.
    Everything,
    /// Tests are skipped.
    SomeTests,
}

/// A part of the setup.
pub(crate) trait Part: Send {
    /// What it is, with its version where that matters.
    fn name(&self) -> String;

    /// Whether it is there and works. Quick.
    fn healthy(&self) -> bool;

    /// Whether this program can get it on this machine.
    fn obtainable(&self) -> bool {
        true
    }

    /// Gets it, or gets it again.
    fn install(&self) -> Result<()>;

    /// How to get it by hand, as a sentence that goes on after a semicolon.
    fn remedy(&self) -> String;

    /// Who needs it.
    fn need(&self) -> Need;
}
