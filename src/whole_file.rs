//! Files that are read or written in one go: whoever opens one that was written finds the old one or the
//! new one, whole; and nobody reads without end.
//!
//! The bytes go to `NAME.part` beside it, which takes the name once it is on the disk. What a killed
//! process leaves is such a `.part`, which nobody reads and the next one overwrites: under the random
//! names of a temporary file, every kill would leave another checkpoint behind.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::Path;

use fs_err::{self as fs, File};

/// Writes `bytes` to the file at `path`. An error names the file.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut part = OsString::from(path);
    part.push(".part");
    let written = (|| {
        let mut file = File::create(&part)?;
        file.write_all(bytes.as_ref())?;
        file.sync_all()?;
        fs::rename(&part, path)
    })();
    if written.is_err() {
        // On a full disk, every byte of it is missed; the error is told, whatever becomes of the rest.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// The bytes of the regular file at `path`, if they are no more than `most`. An error names the file.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let wrong =
        |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    // Looked at first: to open a pipe is to wait for its other end.
    let about = fs::metadata(path)?;
    if !about.is_file() {
        return Err(wrong("is no regular file".into()));
    }
    if about.len() > most {
        return Err(wrong(format!("has {} bytes, at most {most} are read", about.len())));
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(wrong(format!("has more than {most} bytes, which are read at most")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(folder.path().join("a.yaml.part"), "what a killed process left, longer").unwrap();
        for text in ["first", "second"] {
            write(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_has_no_end_or_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        let error = read(&path, 3).unwrap_err().to_string();
        assert!(error.contains("a.yaml: has 4 bytes, at most 3"), "{error}");
        for endless in [Path::new("/dev/zero"), folder.path()] {
            let error = read(endless, 4).unwrap_err().to_string();
            assert!(error.contains(&format!("{}: is no regular file", endless.display())), "{error}");
        }
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_no_part_of_the_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write(&path, "old").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("a.png.part")).unwrap();
        let error = write(&path, "new").unwrap_err().to_string();
        assert!(error.contains("a.png") && error.contains("No space left"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        write(&path, "old").unwrap();
        // In the way of what is written first.
        std::fs::create_dir(folder.path().join("a.yaml.part")).unwrap();
        let error = write(&path, "new").unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    }
}
