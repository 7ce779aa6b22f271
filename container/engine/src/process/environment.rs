//! The environment of a container: what its creator asked for, with the values that only this
//! machine can know laid over it.
//!
//! *Invariant:* nothing of the engine's own environment gets in but `PATH`, so a key exported in
//! the developer's shell stays out of the container, as it would with a real image.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::process::LIFE;

const PATH_OF_AN_IMAGE: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the engine decides for one run.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The private folder.
    pub folder: &'a Path,
    /// The port to listen on: containers share this machine's ports, so each run gets its own.
    pub port: u16,
    /// The mark of this life: what carries it is ended with the container.
    pub mark: &'a str,
    /// The port of this life's forward proxy, when there is a sidecar.
    pub proxy_port: Option<u16>,
}

/// Builds the variables; of two with one name, the later counts.
pub fn build(
    engine_path: Option<&OsStr>,
    asked: &[(String, String)],
    place: &Place<'_>,
) -> Vec<(OsString, OsString)> {
    let path = engine_path.unwrap_or(OsStr::new(PATH_OF_AN_IMAGE));
    let mut variables = vec![("PATH".into(), path.to_owned())];
    variables.extend(asked.iter().map(|(name, value)| (name.into(), value.into())));
    variables.push(("HOME".into(), place.folder.into()));
    variables.push(("WORKSPACE_DIR".into(), place.folder.into()));
    variables.push(("PORT".into(), place.port.to_string().into()));
    variables.push((LIFE.into(), place.mark.into()));
    if let Some(port) = place.proxy_port {
        let url = OsString::from(format!("http://127.0.0.1:{port}"));
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"] {
            variables.push((name.into(), url.clone()));
        }
        // In a container, loopback is the container's own and never intercepted.
        for name in ["NO_PROXY", "no_proxy"] {
            variables.push((name.into(), "localhost,127.0.0.1,::1".into()));
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn the_place_wins_over_what_was_asked() {
        let asked = [("PORT", "8080"), ("FOO", "bar"), ("HOME", "/home/agent"), (LIFE, "other")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let place =
            Place { folder: Path::new("/disk"), port: 4321, mark: "m", proxy_port: Some(99) };
        let seen: HashMap<_, _> = build(None, &asked, &place).into_iter().collect();
        let value = |name: &str| seen[OsStr::new(name)].to_str().unwrap();
        assert_eq!(value("PORT"), "4321");
        assert_eq!(value("FOO"), "bar");
        assert_eq!(value("HOME"), "/disk");
        assert_eq!(value("WORKSPACE_DIR"), "/disk");
        assert_eq!(value(LIFE), "m");
        assert_eq!(value("http_proxy"), "http://127.0.0.1:99");
        assert_eq!(value("PATH"), PATH_OF_AN_IMAGE);
    }
}
