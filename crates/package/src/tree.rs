//! The digest of a directory, and the cheap sign that nothing in it was touched since.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};

/// More than any package has; an install beyond it is refused, not read on and on.
const ENTRIES_MAX: usize = 300_000;

/// A directory that could not be digested.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Reading failed.
    #[error("`{path}` cannot be read; install the package again")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither file, directory nor link.
    #[error("`{path}` is neither a file, a directory nor a link; do not use the package")]
    Kind {
        /// Where.
        path: PathBuf,
    },
    /// Too many files.
    #[error("`{path}` holds more than 300000 files; do not use the package")]
    Large {
        /// Where.
        path: PathBuf,
    },
}

/// One file, directory or link below the root.
struct Item {
    /// Relative to the root.
    path: PathBuf,
    metadata: Metadata,
}

/// SHA-256 in hexadecimal over `preface` and over every entry's path, kind, mode, and content or
/// target, sorted by path.
pub(crate) fn digest(root: &Path, preface: &[u8]) -> Result<String, TreeError> {
    let mut context = Context::new(&SHA256);
    put(&mut context, preface);
    let mut buffer = vec![0; 1 << 16];
    for Item { path, metadata } in walk(root)? {
        put(&mut context, path.as_os_str().as_bytes());
        context.update(&metadata.permissions().mode().to_le_bytes());
        let full = root.join(&path);
        let fail = |source| TreeError::Io {
            path: full.clone(),
            source,
        };
        if metadata.is_symlink() {
            let target = std::fs::read_link(&full).map_err(fail)?;
            put(&mut context, target.as_os_str().as_bytes());
        } else if metadata.is_file() {
            context.update(&metadata.len().to_le_bytes());
            let read = update_with(&mut context, &full, &mut buffer).map_err(fail)?;
            if read != metadata.len() {
                return Err(fail(io::Error::other("it changed while it was read")));
            }
        }
    }
    Ok(hexadecimal(context.finish().as_ref()))
}

/// SHA-256 in hexadecimal over what the file system says of every entry: path, mode, owner, size,
/// inode, and when it and its content last changed. Only root can set the time of the last change
/// back, so that an equal stamp means equal content to anyone but root and who can write the stamp.
pub(crate) fn stamp(root: &Path) -> Result<String, TreeError> {
    let mut facts = Vec::new();
    for Item { path, metadata } in walk(root)? {
        let path = path.as_os_str().as_bytes();
        facts.extend_from_slice(&(path.len() as u64).to_le_bytes());
        facts.extend_from_slice(path);
        for number in [
            u64::from(metadata.permissions().mode()),
            u64::from(metadata.uid()),
            metadata.len(),
            metadata.dev(),
            metadata.ino(),
            metadata.mtime().cast_unsigned(),
            metadata.mtime_nsec().cast_unsigned(),
            metadata.ctime().cast_unsigned(),
            metadata.ctime_nsec().cast_unsigned(),
        ] {
            facts.extend_from_slice(&number.to_le_bytes());
        }
    }
    let digest = aws_lc_rs::digest::digest(&SHA256, &facts);
    Ok(hexadecimal(digest.as_ref()))
}

/// All entries below the root, sorted by their paths' bytes. Links are not followed.
fn walk(root: &Path) -> Result<Vec<Item>, TreeError> {
    let mut items: Vec<Item> = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let full = root.join(&directory);
        let fail = |source| TreeError::Io {
            path: full.clone(),
            source,
        };
        for entry in std::fs::read_dir(&full).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let metadata = entry.metadata().map_err(fail)?;
            let path = directory.join(entry.file_name());
            if metadata.is_dir() {
                directories.push(path.clone());
            } else if !metadata.is_file() && !metadata.is_symlink() {
                return Err(TreeError::Kind {
                    path: full.join(entry.file_name()),
                });
            }
            items.push(Item { path, metadata });
            if items.len() > ENTRIES_MAX {
                return Err(TreeError::Large {
                    path: root.to_owned(),
                });
            }
        }
    }
    items.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    Ok(items)
}

/// A length before each part, so that no two lists of parts look alike.
fn put(context: &mut Context, part: &[u8]) {
    context.update(&(part.len() as u64).to_le_bytes());
    context.update(part);
}

fn update_with(context: &mut Context, path: &Path, buffer: &mut [u8]) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut total = 0;
    loop {
        let read = file.read(buffer)?;
        if read == 0 {
            return Ok(total);
        }
        context.update(buffer.get(..read).unwrap_or_default());
        total += read as u64;
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|half| char::from_digit(u32::from(half), 16))
        .collect()
}

#[cfg(test)]
mod tests;
