//! Finds the bundle that a name stands for.

use std::path::{Path, PathBuf};

const PACKAGE: &str = "synthcp_monitor";
const FILE: &str = "bundle.yaml";

/// No folder holds the bundle.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter bundle is {name:?}, and none of these is a file: {}; give the name of an installed bundle or the path of a folder", list(.tried))]
pub struct NotFound {
    name: String,
    tried: Vec<PathBuf>,
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The folder of bundle `name`: a path is taken as it is; a bare name is looked for in the
/// installed package of every ROS prefix, then in `models/` beside the executable or any folder
/// above it (a source checkout, an install folder that was not sourced), then from here.
pub fn find(name: &str, ros_prefixes: &str, executable: &Path) -> Result<PathBuf, NotFound> {
    if name.contains('/') {
        // Whatever is wrong with it, loading says it better.
        return Ok(PathBuf::from(name));
    }
    let installed = |prefix: &Path| prefix.join("share").join(PACKAGE).join("models").join(name);
    let prefixes = ros_prefixes.split(':').filter(|prefix| !prefix.is_empty()).map(Path::new);
    let above = executable.ancestors().skip(1).filter(|folder| folder.parent().is_some());
    let mut folders: Vec<PathBuf> = prefixes.map(installed).collect();
    folders.extend(above.flat_map(|folder| [folder.join("models").join(name), installed(folder)]));
    folders.extend([Path::new("models").join(name), PathBuf::from(name)]);

    let mut tried = Vec::new();
    for folder in folders {
        let file = folder.join(FILE);
        if !name.is_empty() && file.is_file() {
            return Ok(folder);
        }
        tried.push(file);
    }
    Err(NotFound { name: name.to_owned(), tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle_in(folder: PathBuf) -> PathBuf {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(FILE), "").unwrap();
        folder
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        assert_eq!(find("./my/bundle", "", Path::new("/bin/x")), Ok(PathBuf::from("./my/bundle")));
    }

    #[test]
    fn an_installed_bundle_comes_before_one_beside_the_executable() {
        let root = tempfile::tempdir().unwrap();
        let beside = bundle_in(root.path().join("checkout/models/street"));
        let executable = root.path().join("checkout/target/release/monitor_node");
        let prefixes = format!("/nowhere:{}", root.path().join("prefix").display());
        assert_eq!(find("street", &prefixes, &executable), Ok(beside));
        let installed = bundle_in(root.path().join("prefix/share/synthcp_monitor/models/street"));
        assert_eq!(find("street", &prefixes, &executable), Ok(installed));
    }

    #[test]
    fn an_install_folder_that_was_not_sourced_is_found() {
        let root = tempfile::tempdir().unwrap();
        let installed = bundle_in(root.path().join("share/synthcp_monitor/models/street"));
        let executable = root.path().join("lib/synthcp_monitor/monitor_node");
        assert_eq!(find("street", "", &executable), Ok(installed));
    }

    #[test]
    fn a_name_nobody_has_is_named_with_the_places_looked_in() {
        let message = find("no_such_bundle", "/prefix", Path::new("/bin/x")).unwrap_err().to_string();
        assert!(message.contains("\"no_such_bundle\""), "{message}");
        assert!(
            message.contains("/prefix/share/synthcp_monitor/models/no_such_bundle/bundle.yaml"),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1);
        assert!(find("", "", Path::new("/bin/x")).is_err());
    }
}
