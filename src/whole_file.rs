//! Files that are written in one go: whoever opens one finds the old one or the new one, whole.
//!
//! The bytes go to `NAME.part` beside it, which takes the name once it is on the disk. What a killed
//! process leaves is such a `.part`, which nobody reads and the next one overwrites: under the random
//! names of a temporary file, every kill would leave another checkpoint behind.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;

use fs_err::{self as fs, File};

/// Writes `bytes` to the file at `path`. An error names the file.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let mut part = OsString::from(path);
    part.push(".part");
    let mut file = File::create(&part)?;
    file.write_all(bytes.as_ref())?;
    file.sync_all()?;
    fs::rename(&part, path)
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
