//! What this machine brings to the networks besides GPUs: its CPU, and the libtorch that is loaded.

use std::path::{Path, PathBuf};

/// The libtorch in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Libtorch {
    /// The folder of its libraries.
    pub folder: Option<PathBuf>,
    /// Its version, where a file beside tells it.
    pub version: Option<String>,
}

impl Libtorch {
    /// Its folder, for people.
    pub fn place(&self) -> String {
        self.folder.as_ref().map_or("an unknown folder".into(), |folder| folder.display().to_string())
    }
}

/// Finds the libtorch that is loaded.
pub fn libtorch() -> Libtorch {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let folder = folder_of("libtorch_cpu.so", &maps);
    let version = folder.as_deref().and_then(Path::parent).and_then(version_in);
    Libtorch { folder, version }
}

/// The folder of a library, from the lines of `/proc/self/maps`.
fn folder_of(library: &str, maps: &str) -> Option<PathBuf> {
    let path = |line: &str| Some(PathBuf::from(&line[line.find('/')?..]));
    let found =
        maps.lines().filter_map(path).find(|path| path.file_name().is_some_and(|name| name == library));
    found.and_then(|path| path.parent().map(Path::to_owned))
}

/// The version that an archive of libtorch, or Python's package of it, tells in a file.
fn version_in(folder: &Path) -> Option<String> {
    if let Ok(version) = std::fs::read_to_string(folder.join("build-version")) {
        return Some(version.trim().to_owned());
    }
    let python = std::fs::read_to_string(folder.join("version.py")).ok()?;
    let version = python.lines().find_map(|line| line.strip_prefix("__version__ = "))?;
    Some(version.trim_matches(['\'', '"']).to_owned())
}

/// NVIDIA's driver in the kernel, where it says its version.
pub fn kernel_driver() -> Option<String> {
    version_of_driver(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

fn version_of_driver(text: &str) -> Option<String> {
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

/// What of the CPU decides how fast the networks run: registers, and arithmetic in bf16.
pub fn cpu_features() -> Vec<&'static str> {
    // AMX is not among those that Rust tells on every compiler; the kernel does.
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    features_in(&info)
}

fn features_in(cpuinfo: &str) -> Vec<&'static str> {
    const WANTED: [&str; 8] =
        ["avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "bf16"];
    let is_flags = |line: &&str| line.starts_with("flags") || line.starts_with("Features");
    let flags: Vec<&str> =
        cpuinfo.lines().find(is_flags).into_iter().flat_map(str::split_whitespace).collect();
    WANTED.into_iter().filter(|wanted| flags.contains(wanted)).collect()
}

/// The CPU's name, where the kernel tells it.
pub fn cpu_name() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_where_it_is_loaded_from() {
        let maps = "7f00-7f01 r-xp 00000000 08:01 5 /opt/my torch/lib/libtorch_cpu.so\n7f02-7f03 rw-p 00000000 00:00 0\n";
        assert_eq!(folder_of("libtorch_cpu.so", maps), Some("/opt/my torch/lib".into()));
        assert_eq!(folder_of("libtorch_cuda.so", maps), None);
        let found = libtorch().folder.unwrap();
        assert!(found.join("libtorch_cpu.so").exists(), "{}", found.display());
    }

    #[test]
    fn the_version_of_libtorch_is_read_from_either_file() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(version_in(folder.path()), None);
        std::fs::write(folder.path().join("version.py"), "debug = False\n__version__ = '2.11.0+cu130'\n")
            .unwrap();
        assert_eq!(version_in(folder.path()).as_deref(), Some("2.11.0+cu130"));
        std::fs::write(folder.path().join("build-version"), "2.13.0\n").unwrap();
        assert_eq!(version_in(folder.path()).as_deref(), Some("2.13.0"));
    }

    #[test]
    fn the_kernels_words_are_read() {
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\nGCC version:  12.2\n";
        assert_eq!(version_of_driver(text).as_deref(), Some("580.159.04"));
        assert_eq!(version_of_driver("NVRM version: unknown\n"), None);
        let info = "model name\t: A\nflags\t\t: fpu avx2 fma avx512f amx_bf16\n";
        assert_eq!(features_in(info), ["avx2", "fma", "avx512f", "amx_bf16"]);
    }
}
