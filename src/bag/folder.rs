//! Which files make a bag, and in which order.

use std::cmp::Ordering;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::BagError;
use super::losses::Losses;
use crate::whole_file;

/// Largest metadata.yaml that is read, in bytes.
const LARGEST: u64 = 1 << 26;
/// How files of bags end, without what compression adds.
const ENDINGS: [&str; 2] = ["mcap", "db3"];
const PACKED: &str = ".zstd";
/// What a folder says of its bag.
pub(crate) const METADATA: &str = "metadata.yaml";

/// What a bag is made of.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    /// Its files, in order.
    pub files: Vec<PathBuf>,
    /// Messages that were recorded, where metadata.yaml says so.
    pub messages: Option<u64>,
}

/// What is needed of a metadata.yaml, in the words of versions 1 to 9.
#[derive(Deserialize)]
struct Metadata {
    rosbag2_bagfile_information: Information,
}

#[derive(Deserialize)]
struct Information {
    #[serde(default)]
    relative_file_paths: Vec<PathBuf>,
    #[serde(default)]
    message_count: Option<u64>,
}

/// The files of the bag at `path`: a file, or a folder with a metadata.yaml or without.
pub(crate) fn parts(path: &Path, losses: &mut Losses) -> Result<Parts, BagError> {
    if !fs_err::metadata(path)?.is_dir() {
        return Ok(Parts { files: vec![path.to_owned()], messages: None });
    }
    let about = path.join(METADATA);
    let found = found(path)?;
    let parts = match about.exists().then(|| read(&about)) {
        None => Parts { files: found, messages: None },
        Some(Ok(Information { relative_file_paths, message_count })) if !relative_file_paths.is_empty() => {
            let mut files = Vec::new();
            for named in relative_file_paths {
                match there(path, &named) {
                    Some(file) => files.push(file),
                    None => losses.note(&about, None, format!("{} is not there", named.display())),
                }
            }
            for file in found.iter().filter(|&file| !files.iter().any(|other| stem(other) == stem(file))) {
                losses.note(file, None, "metadata.yaml does not name this file; it is not read");
            }
            Parts { files, messages: message_count }
        }
        // Unfinished, or of a tool that leaves the names out.
        Some(Ok(_)) => Parts { files: found, messages: None },
        Some(Err(error)) => {
            losses.note(&about, None, format!("{error}; the files of the folder are read in their order"));
            Parts { files: found, messages: None }
        }
    };
    match parts.files.is_empty() {
        true => Err(BagError::NoBag { path: path.to_owned() }),
        false => Ok(parts),
    }
}

fn read(about: &Path) -> io::Result<Information> {
    let bytes = whole_file::read(about, LARGEST)?;
    let wrong = |error: &dyn Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let metadata: Metadata = serde_norway::from_slice(&bytes).map_err(|error| wrong(&error))?;
    Ok(metadata.rosbag2_bagfile_information)
}

/// The file of a name in metadata.yaml. Some recorders put the bag's name before it, some leave out, or say
/// too early, that it is compressed. Nothing outside the folder is opened, whatever the name.
fn there(folder: &Path, named: &Path) -> Option<PathBuf> {
    let name = named.file_name()?.to_str()?;
    let other = match name.strip_suffix(PACKED) {
        Some(plain) => plain.to_owned(),
        None => format!("{name}{PACKED}"),
    };
    [name, &other].map(|name| folder.join(name)).into_iter().find(|file| file.is_file())
}

/// The folder's files that a bag can be made of, `bag_2` before `bag_10`. A part that lies there twice, packed
/// and not, is read once.
fn found(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let file = entry?.path();
        let hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending =
            Path::new(&stem(&file)).extension().and_then(|ending| ending.to_str().map(str::to_owned));
        if !hidden && file.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            files.push(file);
        }
    }
    files.sort_by(|a, b| naturally(&stem(a), &stem(b)).then_with(|| a.cmp(b)));
    files.dedup_by(|packed, plain| stem(packed) == stem(plain));
    Ok(files)
}

/// The name without what compression adds.
fn stem(file: &Path) -> String {
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    name.strip_suffix(PACKED).map_or(name.clone(), str::to_owned)
}

/// Runs of digits by their value, everything else by its letters.
fn naturally(a: &str, b: &str) -> Ordering {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).count();
    let (mut a, mut b) = (a, b);
    loop {
        let (in_a, in_b) = (digits(a), digits(b));
        if in_a > 0 && in_b > 0 {
            let (x, y) = (a[..in_a].trim_start_matches('0'), b[..in_b].trim_start_matches('0'));
            let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[in_a..], &b[in_b..]);
            continue;
        }
        let (mut letters_a, mut letters_b) = (a.chars(), b.chars());
        match (letters_a.next(), letters_b.next()) {
            (None, None) => return Ordering::Equal,
            (x, y) if x != y => return x.cmp(&y),
            _ => (a, b) = (letters_a.as_str(), letters_b.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(parts: &Parts) -> Vec<String> {
        parts.files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn folder_of(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|file| std::fs::write(folder.path().join(file), "").unwrap());
        folder
    }

    #[test]
    fn without_metadata_the_files_are_taken_by_their_numbers_and_once_each() {
        let folder = folder_of(&[
            "b_10.mcap",
            "b_2.mcap",
            "b_1.db3.zstd",
            "b_1.db3",
            "b_1.db3-wal",
            "notes.txt",
            ".b_0.mcap",
        ]);
        let mut losses = Losses::default();
        let parts = parts(folder.path(), &mut losses).unwrap();
        assert_eq!(names(&parts), ["b_1.db3", "b_2.mcap", "b_10.mcap"]);
        assert_eq!(losses.count(), 0);
    }

    #[test]
    fn metadata_gives_the_order_and_what_is_missing_or_left_out_is_named() {
        let folder = folder_of(&["b_0.db3.zstd", "b_1.db3", "b_3.db3"]);
        // As version 4 names compressed files, and as later ones do.
        let text = "rosbag2_bagfile_information:\n  version: 4\n  storage_identifier: \"\"\n  message_count: 7\n  \
                    relative_file_paths: [b_1.db3, b/b_0.db3, ../../etc/passwd]\n";
        std::fs::write(folder.path().join("metadata.yaml"), text).unwrap();
        let mut losses = Losses::default();
        let parts = parts(folder.path(), &mut losses).unwrap();
        assert_eq!(names(&parts), ["b_1.db3", "b_0.db3.zstd"]);
        assert_eq!(parts.messages, Some(7));
        let told: Vec<String> = losses.named().iter().map(ToString::to_string).collect();
        assert!(told[0].contains("etc/passwd is not there"), "{told:?}");
        assert!(told[1].contains("b_3.db3: metadata.yaml does not name"), "{told:?}");
        assert_eq!(losses.count(), 2);
    }

    #[test]
    fn metadata_that_cannot_be_read_is_named_and_the_files_are_found_without() {
        let folder = folder_of(&["b_0.mcap", "b_1.mcap"]);
        std::fs::write(folder.path().join("metadata.yaml"), "rosbag2_bagfile_information: [").unwrap();
        let mut losses = Losses::default();
        assert_eq!(names(&parts(folder.path(), &mut losses).unwrap()), ["b_0.mcap", "b_1.mcap"]);
        assert_eq!(losses.count(), 1);
    }

    #[test]
    fn a_folder_without_a_bag_is_an_error_that_names_it() {
        let folder = folder_of(&["notes.txt"]);
        let error = parts(folder.path(), &mut Losses::default()).unwrap_err().to_string();
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}
