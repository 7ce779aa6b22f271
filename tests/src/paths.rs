//! Where the built parts are: what `cargo xtask` says in the environment, for tests and bench alike.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The file or folder that the environment variable `name` points to.
pub fn from_environment(name: &str) -> Result<PathBuf> {
    let value = env::var_os(name).with_context(|| {
        format!("{name} is not set; run this through `cargo xtask test` or `cargo xtask bench`")
    })?;
    let path = PathBuf::from(value);
    ensure!(path.exists(), "{name} points to {}, which does not exist", path.display());
    Ok(path)
}

/// The project's root.
pub fn root() -> Result<PathBuf> {
    from_environment("PAGURUS_ROOT")
}

/// The runtime's binary.
pub fn runtime() -> Result<PathBuf> {
    from_environment("PAGURUS_RUNTIME")
}

/// The `xtask` binary, which starts the whole stack.
pub fn xtask() -> Result<PathBuf> {
    from_environment("PAGURUS_XTASK")
}

/// Node's binary, which runs browser scripts.
pub fn node() -> Result<PathBuf> {
    from_environment("PAGURUS_NODE")
}

/// The folder of npm's packages.
pub fn node_modules() -> Result<PathBuf> {
    match env::var_os("PAGURUS_NODE_MODULES") {
        Some(_) => from_environment("PAGURUS_NODE_MODULES"),
        None => Ok(root()?.join("node_modules")),
    }
}

/// Debian's Chromium, or the one that `PAGURUS_CHROMIUM` points to; the reason where there is none.
pub fn chromium() -> Result<PathBuf, String> {
    let path = env::var_os("PAGURUS_CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into());
    let path = PathBuf::from(path);
    if path.exists() {
        return Ok(path);
    }
    Err(format!("{} does not exist; run `apt-get install chromium`", path.display()))
}
