//! Bundles the chat page's script with its libraries, so that the Worker holds it as one file.

use std::path::Path;
use std::process::Command;
use std::{env, io};

fn main() -> Result<(), String> {
    let package = env::var("CARGO_MANIFEST_DIR").map_err(|error| error.to_string())?;
    let out = env::var("OUT_DIR").map_err(|error| error.to_string())?;
    println!("cargo::rerun-if-changed=web");
    println!("cargo::rerun-if-changed=../package-lock.json");
    println!("cargo::rerun-if-env-changed=ESBUILD_BIN");
    let local = Path::new(&package).join("../node_modules/.bin/esbuild");
    let esbuild = env::var_os("ESBUILD_BIN").map_or(local, Into::into);
    let status = Command::new(&esbuild)
        .arg(Path::new(&package).join("web/chat.js"))
        .args(["--bundle", "--minify", "--format=esm", "--target=es2022", "--log-level=warning"])
        .arg(format!("--outfile={out}/chat.js"))
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("esbuild could not bundle web/chat.js ({status})")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("esbuild is not installed; run `cargo xtask setup` once".into())
        }
        Err(error) => Err(format!("esbuild could not be run: {error}")),
    }
}
