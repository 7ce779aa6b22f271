//! Which processes and files there are, from `/proc` and the folders. A process may end between the
//! listing and a look at it; then it counts as not there.

use std::path::{Path, PathBuf};

use anyhow::Result;

/// All processes below one, parents first.
pub(super) fn descendants(root: i32) -> Result<Vec<i32>> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for pid in pids()? {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parents.extend(parent.and_then(|parent| parent.parse().ok()).map(|parent| (pid, parent)));
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.remove(0);
    Ok(found)
}

/// The living processes, this one apart, that hold `text` in their command line or environment.
pub(super) fn mentioning(text: &str) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).ok();
    let holds = |pid: &i32, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).contains(text)
    };
    pids()
        .unwrap_or_default()
        .into_iter()
        .filter(|pid| Some(*pid) != own && (holds(pid, "cmdline") || holds(pid, "environ")))
        .filter(|pid| crate::process::alive(*pid))
        .collect()
}

/// The name of a process's program, cut to 15 bytes as the kernel does.
pub(super) fn name(pid: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

/// A process for a failure's message.
pub(super) fn describe(pid: i32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    format!("{pid} {}", String::from_utf8_lossy(&bytes).replace('\0', " "))
}

/// All files below a folder; symbolic links are not followed.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn pids() -> Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(pids)
}
