//! A small disk below the container, that can be full. Needs the right to mount.
//!
//! Invariant: the disk is gone when the value is.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::limits::FAULTS_DISK_BYTES;

/// Sizes of the pieces with which it is filled, so that not one byte is left.
const PIECES: &[usize] = &[1024 * 1024, 4096, 1];

/// A mounted disk.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts a disk on `folder`; `Err` inside says why this machine does not.
    pub(super) fn mount(folder: &Path) -> Result<Result<Self, String>> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let options = format!("size={FAULTS_DISK_BYTES},mode=0700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder);
        let output = match mount.output() {
            Ok(output) => output,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Err("there is no mount(8)".to_owned()));
            }
            Err(error) => return Err(error).context("running mount"),
        };
        if output.status.success() {
            return Ok(Ok(Self { folder: folder.to_owned() }));
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(Err(format!("a small disk cannot be mounted: {said}")))
    }

    /// Fills it to the last byte.
    pub(super) fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast()).context("making the ballast")?;
        for size in PIECES {
            let piece = vec![0; *size];
            let pieces = FAULTS_DISK_BYTES / *size as u64;
            for _ in 0..=pieces {
                match ballast.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling the disk"),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub(super) fn clear(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("removing the ballast")
    }

    /// Takes it away; nothing uses it any more.
    pub(super) fn unmount(self) -> Result<()> {
        let status = self.release().context("running umount")?;
        if !status.success() {
            bail!("{} is still mounted", self.folder.display());
        }
        Ok(())
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    fn release(&self) -> std::io::Result<std::process::ExitStatus> {
        // Lazily, since a process that is about to end may still stand in it.
        Command::new("umount").arg("--lazy").arg(&self.folder).status()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // After `unmount` there is nothing left to do, and it says so.
        drop(Command::new("umount").arg("--lazy").arg("--quiet").arg(&self.folder).output());
    }
}
