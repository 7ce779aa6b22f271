//! The token by which programs of the owner use a local agent: made once per state folder.
//!
//! Invariant: it lies in a file that only its owner can read, and is never printed.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::settings::write_private;

/// The token in this file, which is made when it is not there.
pub(super) fn load(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Ok(token) => return Ok(token.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    let mut bytes = [0_u8; 24];
    let mut random = File::open("/dev/urandom").context("opening the system's random source")?;
    random.read_exact(&mut bytes).context("reading the system's random source")?;
    let mut token = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(token, "{byte:02x}").context("writing a token")?;
    }
    write_private(path, &format!("{token}\n"))?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api-token");
        let token = load(&path).unwrap();
        assert_eq!(token.len(), 48);
        assert_eq!(load(&path).unwrap(), token);
        assert_ne!(load(&folder.path().join("another")).unwrap(), token);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
