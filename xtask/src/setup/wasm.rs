//! The wasm32 target, from wherever it can be had.
//!
//! Invariant: nothing is written outside the cache, except by rustup and apt themselves. Debian's
//! standard library is built into a system root of our own that borrows the rest from Debian's.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::apt;
use super::cargo_tool::remove_folder;
use super::part::{Need, Part};
use crate::cargo;
use crate::environment;
use crate::places::Places;
use crate::process::{answer, run_logged};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's Rust with what a build of its standard library needs.
const DEBIAN_PACKAGES: &[&str] =
    &["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";

/// How the Worker is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WasmToolchain {
    /// With the toolchain of everything else.
    Same,
    /// With Debian's, by the programs of this folder.
    Debian {
        /// Holds `rustc` and `cargo`.
        programs: PathBuf,
    },
}

/// The target as a part of the setup.
#[derive(Debug)]
pub(crate) struct WasmTarget {
    cache: PathBuf,
    debian_only: bool,
}

impl WasmTarget {
    pub(super) fn new(places: &Places) -> Result<Self> {
        let wish = env::var_os("PAGURUS_WASM_TOOLCHAIN");
        let debian_only = match wish.as_deref().and_then(OsStr::to_str) {
            None if wish.is_none() => false,
            Some("") => false,
            Some("debian") => true,
            _ => bail!("PAGURUS_WASM_TOOLCHAIN can be `debian` or absent"),
        };
        Ok(Self { cache: places.cache().to_owned(), debian_only })
    }

    /// The toolchain that is ready, if one is.
    pub(crate) fn toolchain(&self) -> Option<WasmToolchain> {
        if !self.debian_only && has_std(&mut Command::new("rustc")) {
            return Some(WasmToolchain::Same);
        }
        let programs = self.debian_root()?.join("programs");
        let ready = has_std(&mut Command::new(programs.join("rustc")));
        ready.then_some(WasmToolchain::Debian { programs })
    }

    /// The folder of the standard library for Debian's compiler as it is installed now.
    fn debian_root(&self) -> Option<PathBuf> {
        let version = answer(Command::new(DEBIAN_RUSTC).arg("--version"))?;
        let number = version.split_whitespace().nth(1)?.to_owned();
        Some(self.cache.join("wasm").join(format!("debian-{number}")))
    }

    fn install_debian(&self) -> Result<()> {
        let programs = [DEBIAN_RUSTC, DEBIAN_CARGO];
        let source = Path::new("/usr/lib/rustlib/src");
        if !(programs.iter().all(|program| Path::new(program).is_file()) && source.is_dir()) {
            apt::install(DEBIAN_PACKAGES)?;
        }
        let root = self.debian_root().context("Debian's rustc does not answer --version")?;
        remove_folder(&root)?;
        borrow_system_root(&root)?;
        let built = build_std(&root, &self.cache.join("logs/wasm-std.log"))?;
        let library = root.join("sysroot/lib/rustlib").join(TARGET).join("lib");
        adopt(&built, &library)?;
        remove_folder(&root.join("build"))
    }
}

impl Part for WasmTarget {
    fn name(&self) -> String {
        "wasm32 target".to_owned()
    }

    fn healthy(&self) -> bool {
        self.toolchain().is_some()
    }

    fn install(&self) -> Result<()> {
        if !self.debian_only {
            let mut rustup = Command::new("rustup");
            let log = self.cache.join("logs/rustup.log");
            if run_logged(rustup.args(["target", "add", TARGET]), &log).is_ok() {
                return Ok(());
            }
        }
        self.install_debian()
    }

    fn remedy(&self) -> String {
        format!(
            "get it with `rustup target add {TARGET}`, or on Debian and Ubuntu with \
             `sudo apt-get install {}` and `cargo xtask setup`",
            DEBIAN_PACKAGES.join(" ")
        )
    }

    fn need(&self) -> Need {
        Need::Everything
    }
}

/// Whether a compiler has the target's standard library.
fn has_std(rustc: &mut Command) -> bool {
    let Some(folder) = answer(rustc.args(["--print", "target-libdir", "--target", TARGET])) else {
        return false;
    };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| library_name(&entry.path()).starts_with("libstd-"))
}

/// The name of a Rust library's file; empty for anything else.
fn library_name(path: &Path) -> &str {
    let library = path.extension() == Some(OsStr::new("rlib"));
    let name = path.file_name().and_then(OsStr::to_str);
    name.filter(|_| library).unwrap_or_default()
}

/// A system root that is Debian's by links, with room for one more target, and a `rustc` that uses
/// it.
fn borrow_system_root(root: &Path) -> Result<()> {
    let rustlib = root.join("sysroot/lib/rustlib");
    let programs = root.join("programs");
    for folder in [&rustlib.join(TARGET).join("lib"), &programs, &root.join("build/std/src")] {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    }
    let theirs = Path::new("/usr/lib/rustlib");
    for entry in fs::read_dir(theirs).context("listing Debian's /usr/lib/rustlib")? {
        let name = entry.context("listing Debian's /usr/lib/rustlib")?.file_name();
        if name != TARGET {
            symlink(theirs.join(&name), rustlib.join(&name)).context("linking Debian's library")?;
        }
    }
    symlink(DEBIAN_CARGO, programs.join("cargo")).context("linking Debian's cargo")?;
    let rustc = programs.join("rustc");
    let sysroot = root.join("sysroot");
    let script =
        format!("#!/bin/sh\nexec {DEBIAN_RUSTC} --sysroot '{}' \"$@\"\n", sysroot.display());
    fs::write(&rustc, script).context("writing the rustc script")?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755)).context("marking it executable")
}

/// Builds the standard library by building an empty crate; returns the folder of its parts.
fn build_std(root: &Path, log: &Path) -> Result<PathBuf> {
    let empty = root.join("build/std");
    let manifest = "[package]\nname = \"empty\"\nedition = \"2021\"\n\n[workspace]\n";
    fs::write(empty.join("Cargo.toml"), manifest).context("writing the empty crate")?;
    fs::write(empty.join("src/lib.rs"), "").context("writing the empty crate")?;
    let target = root.join("build/target");
    let programs = root.join("programs");
    let mut build = Command::new(programs.join("cargo"));
    // Building the standard library is an unstable feature of a stable compiler: the first variable
    // permits it. Link-time optimisation of the Worker needs the bitcode.
    build
        .args(["build", "--release", "-Z", "build-std=std,panic_abort", "--target", TARGET])
        .current_dir(&empty)
        .env("PATH", environment::path_with(&[programs])?)
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Cembed-bitcode=yes")
        .env_remove("RUSTUP_TOOLCHAIN");
    cargo::clean(&mut build);
    run_logged(&mut build, log)?;
    Ok(target.join(TARGET).join("release/deps"))
}

/// Copies the library's parts; the one that [`has_std`] looks for comes last.
fn adopt(built: &Path, library: &Path) -> Result<()> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(built).with_context(|| format!("listing {}", built.display()))? {
        let path = entry.context("listing the built library")?.path();
        let name = library_name(&path);
        if !(name.is_empty() || name.starts_with("libempty-")) {
            parts.push((name.starts_with("libstd-"), path.clone(), library.join(name)));
        }
    }
    parts.sort();
    for (_, from, to) in parts {
        fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}
