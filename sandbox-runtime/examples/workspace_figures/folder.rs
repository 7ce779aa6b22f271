//! The workspace that is measured: the same on every run, half of it compressible.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

const FILES_PER_FOLDER: u64 = 100;
const FOLDERS_PER_FOLDER: u64 = 10;

/// Where file number `n` is.
pub(crate) fn path_of(n: u64) -> PathBuf {
    let folder = n / FILES_PER_FOLDER;
    let upper = folder / FOLDERS_PER_FOLDER;
    PathBuf::from(format!("area-{upper}/topic-{folder}/notes-{n}.txt"))
}

/// Makes it.
pub(crate) fn make(root: &Path, bytes: u64, files: u64) -> Result<()> {
    let each = usize::try_from(bytes / files)?;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for n in 0..files {
        let path = root.join(path_of(n));
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut content = Vec::with_capacity(each + 64);
        while content.len() < each {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
            content.extend_from_slice(b"plain ok");
        }
        fs::write(path, content)?;
    }
    fs::write(root.join("AGENTS.md"), "Be brief.\n".repeat(200))?;
    fs::write(root.join("MEMORY.md"), "The owner likes tea.\n".repeat(200))?;
    Ok(())
}

/// One more line in one of the files, each time in another folder.
pub(crate) fn change_one_line(root: &Path, files: u64, n: usize) -> Result<()> {
    let folder = u64::try_from(n)? % files.div_ceil(FILES_PER_FOLDER);
    let path = root.join(path_of(folder * FILES_PER_FOLDER));
    let mut file = fs::OpenOptions::new().append(true).open(path)?;
    writeln!(file, "one more line, number {n}")?;
    Ok(())
}
