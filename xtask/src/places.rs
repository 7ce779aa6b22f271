//! Where things are: the checkout, the cache, and what lies in them.
//!
//! Invariant: nothing in the cache depends on the checkout's path except through
//! [`crate::shared_target`], so that every clone shares it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The two roots.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    root: PathBuf,
    cache: PathBuf,
}

impl Places {
    /// The checkout that this program was started from, and the user's cache.
    pub(crate) fn find() -> Result<Self> {
        let root = root()?;
        let cache = cache(|name| env::var_os(name).map(PathBuf::from)).context(
            "there is no cache folder: set PAGURUS_CACHE, XDG_CACHE_HOME or HOME to an absolute path",
        )?;
        Ok(Self { root, cache })
    }

    /// Two roots for a test.
    #[cfg(test)]
    pub(crate) fn of(root: PathBuf, cache: PathBuf) -> Self {
        Self { root, cache }
    }

    /// The checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What clones share.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Where all checkouts are built; see [`crate::shared_target`].
    pub(crate) fn shared(&self) -> PathBuf {
        self.cache.join("shared")
    }

    /// Tools installed by cargo.
    pub(crate) fn tools(&self) -> PathBuf {
        self.cache.join("tools")
    }

    /// Outputs of the commands that were run for this checkout.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("target/xtask-logs")
    }

    /// npm's tools.
    pub(crate) fn node_modules(&self) -> PathBuf {
        self.root.join("node_modules")
    }

    /// The built Worker, as `wrangler.toml` names it.
    pub(crate) fn worker_build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// A native program of this checkout, built by `cargo xtask build`. Copies, because another
    /// checkout may build into the shared target folder while this one runs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.root.join("target/bin").join(name)
    }
}

fn root() -> Result<PathBuf> {
    // Our own tests say it; cargo says it to the programs that it runs. Asking at run time keeps a
    // binary honest that was built for another checkout.
    let said = env::var_os("PAGURUS_ROOT").or_else(|| env::var_os("CARGO_MANIFEST_DIR"));
    let start = match said.map(PathBuf::from) {
        Some(said) => said,
        None => env::current_dir().context("finding the current folder")?,
    };
    let root = start.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file());
    match root {
        Some(root) => root.canonicalize().context("resolving the checkout's path"),
        None => bail!("{} is not in a checkout of Pagurus", start.display()),
    }
}

fn cache(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    absolute("PAGURUS_CACHE")
        .or_else(|| absolute("XDG_CACHE_HOME").map(|path| path.join("pagurus")))
        .or_else(|| absolute("HOME").map(|path| path.join(".cache/pagurus")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_first_absolute_choice() {
        let with = |pairs: &[(&str, &str)]| {
            let pairs: Vec<(String, PathBuf)> =
                pairs.iter().map(|(n, v)| ((*n).to_owned(), PathBuf::from(v))).collect();
            cache(move |name| pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone()))
        };
        assert_eq!(with(&[("PAGURUS_CACHE", "/a"), ("HOME", "/h")]), Some("/a".into()));
        assert_eq!(with(&[("XDG_CACHE_HOME", "/x")]), Some("/x/pagurus".into()));
        assert_eq!(
            with(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]),
            Some("/h/.cache/pagurus".into())
        );
        assert_eq!(with(&[]), None);
    }
}
