//! GPUs: found, or the reason why not.
//!
//! Nothing that is linked refers to libtorch's CUDA library, so the linker leaves it out, and libtorch alone sees
//! no GPU anywhere. It is loaded here, when it is first wanted; once loaded, it makes itself known to libtorch.
//! One program so serves machines with a GPU and without.
//!
//! ```text
//! libtorch_cuda.so there? --> loads? --> a driver? --> new enough? --> a device visible? --> GPUs
//! ```

use std::ffi::OsString;
use std::path::Path;
use std::sync::OnceLock;

use libloading::os::unix::Library;
use tch::{Device, Kind, TchError, Tensor};

use super::library::{self, Driver, Gpu, Runtime};
use super::machine::{self, Libtorch};
use crate::network::download::download;
use crate::network::fault::one_line;

/// libtorch's CUDA part.
pub(super) const LIBRARY: &str = "libtorch_cuda.so";
/// The variable that hides GPUs from CUDA.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// Why there is no GPU to be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoGpu {
    /// libtorch has no CUDA part.
    #[error("libtorch in {0} is a build for CPUs, without libtorch_cuda.so")]
    CpuBuild(String),
    /// It has one, which this machine cannot load.
    #[error("libtorch_cuda.so does not load: {0}")]
    NotLoaded(String),
    /// CUDA has no driver.
    #[error("NVIDIA's driver is not there: {0}")]
    NoDriver(String),
    /// The driver is older than libtorch's CUDA.
    #[error("NVIDIA's driver serves CUDA up to {driver}, libtorch needs {needed}: a newer driver is needed")]
    OldDriver {
        /// What the driver serves.
        driver: String,
        /// What libtorch was built with.
        needed: String,
    },
    /// Somebody hides them.
    #[error("CUDA_VISIBLE_DEVICES is '{0}' and leaves no GPU visible")]
    Hidden(String),
    /// The driver is there and shows no GPU.
    #[error("NVIDIA's driver shows no GPU: {0}")]
    NoDevice(String),
    /// libtorch asked for its CUDA part before it was there, and does not ask again.
    #[error(
        "the driver shows GPUs and libtorch none: its CUDA part was loaded too late or fits another libtorch"
    )]
    NotRegistered,
    /// One is there and does not do what it is told.
    #[error("cuda:{index} is there and does not compute: {reason}")]
    Useless {
        /// Which.
        index: usize,
        /// What came of it.
        reason: String,
    },
}

/// The GPUs of this machine, looked for once. What is asked of libtorch about GPUs has to come after.
pub fn gpus() -> &'static Result<Vec<Gpu>, NoGpu> {
    static FOUND: OnceLock<Result<Vec<Gpu>, NoGpu>> = OnceLock::new();
    FOUND.get_or_init(search)
}

/// Why the first GPU is not to be had, or does not compute; `None` where it does.
pub fn why_none() -> Option<&'static NoGpu> {
    static FIRST: OnceLock<Result<(), NoGpu>> = OnceLock::new();
    let tried = || gpus().as_ref().map_err(Clone::clone).and_then(|_| try_out(0));
    FIRST.get_or_init(tried).as_ref().err()
}

/// Has a GPU compute a sum. One that is too old for this libtorch, or whose memory others hold, fails here rather than
/// in the first frame.
pub(super) fn try_out(index: usize) -> Result<(), NoGpu> {
    let reason = match sum_of_twos(Device::Cuda(index)) {
        Ok(sum) if sum == 2. * TWOS as f32 => return Ok(()),
        Ok(sum) => format!("its sum of {TWOS} twos is {sum}"),
        Err(error) => one_line(&error.to_string()),
    };
    Err(NoGpu::Useless { index, reason })
}

const TWOS: i64 = 1000;

fn sum_of_twos(device: Device) -> Result<f32, TchError> {
    let twos = Tensor::f_ones(TWOS, (Kind::Float, device))?.f_add_scalar(1.)?;
    let sum: Vec<f32> = download(&twos.f_sum(Kind::Float)?)?;
    Ok(sum.into_iter().sum())
}

/// Why a GPU that is likely there is not used; `None` where there is no sign of one.
pub(super) fn unused() -> Option<&'static NoGpu> {
    let reason = why_none()?;
    let no_sign = matches!(reason, NoGpu::CpuBuild(_)) && !has_sign(Path::new("/"));
    (!no_sign).then_some(reason)
}

/// Whether the operating system at `root` knows of an NVIDIA GPU.
fn has_sign(root: &Path) -> bool {
    let named = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("nvidia"))
    };
    let at = |path: &str| root.join(path).exists();
    // The last two are those of Tegra, whose driver is a part of the kernel.
    at("proc/driver/nvidia")
        || root.join("dev").read_dir().is_ok_and(|mut files| files.any(named))
        || at("dev/nvhost-gpu")
        || at("dev/nvgpu")
}

fn search() -> Result<Vec<Gpu>, NoGpu> {
    let cuda = load(&machine::libtorch())?;
    let driver = Driver::open().map_err(|e| NoGpu::NoDriver(one_line(&e.to_string())))?;
    let visible = std::env::var_os(VISIBLE);
    driver.start().map_err(|failure| refused(failure.code, failure.words, visible.clone()))?;
    if let Some(runtime) = Runtime::of(cuda) {
        match runtime.device_count() {
            Ok(0) => return Err(refused(library::NO_DEVICE, "it counts 0".into(), visible)),
            Ok(_) => {}
            Err(failure) if failure.code == library::OLD_DRIVER => {
                let version = |version: Option<i32>| version.map_or("an unknown version".into(), written);
                let (driver, needed) = (version(driver.version()), version(runtime.version()));
                return Err(NoGpu::OldDriver { driver, needed });
            }
            Err(failure) => return Err(refused(failure.code, failure.words, visible)),
        }
    }
    let count = usize::try_from(tch::Cuda::device_count()).unwrap_or_default();
    match count {
        0 => Err(NoGpu::NotRegistered),
        count => Ok((0..count).map(|index| driver.describe(index)).collect()),
    }
}

/// Loads libtorch's CUDA part: the one beside libtorch, else one that the loader finds.
fn load(libtorch: &Libtorch) -> Result<&'static Library, NoGpu> {
    let beside = libtorch.folder.as_ref().map(|folder| folder.join(LIBRARY)).filter(|path| path.exists());
    let name = beside.as_deref().unwrap_or(Path::new(LIBRARY));
    library::load(name).map_err(|error| {
        let reason = one_line(&error.to_string());
        // The loader names the file that it does not find: this one, or one that this one needs.
        let absent =
            beside.is_none() && reason.starts_with(&format!("{LIBRARY}: cannot open shared object file"));
        match absent {
            true => NoGpu::CpuBuild(libtorch.place()),
            false => NoGpu::NotLoaded(reason),
        }
    })
}

/// Why the driver says no.
fn refused(code: i32, words: String, visible: Option<OsString>) -> NoGpu {
    match visible {
        Some(value) if code == library::NO_DEVICE => NoGpu::Hidden(value.to_string_lossy().into_owned()),
        _ => NoGpu::NoDevice(words),
    }
}

/// CUDA's number of a version, in its usual form: 13000 is 13.0.
fn written(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_driver_with_devices_hidden_is_told_by_the_variable_and_another_fault_by_its_own_words() {
        let hidden =
            refused(library::NO_DEVICE, "no CUDA-capable device is detected".into(), Some("".into()));
        assert_eq!(hidden.to_string(), "CUDA_VISIBLE_DEVICES is '' and leaves no GPU visible");
        let words = || "no CUDA-capable device is detected".to_owned();
        assert_eq!(refused(library::NO_DEVICE, words(), None), NoGpu::NoDevice(words()));
        assert_eq!(
            refused(999, "unknown error".into(), Some("0".into())),
            NoGpu::NoDevice("unknown error".into())
        );
    }

    #[test]
    fn a_device_that_computes_sums_twos_rightly() {
        assert_eq!(sum_of_twos(Device::Cpu).unwrap(), 2000.);
    }

    #[test]
    fn an_old_driver_is_told_with_both_versions() {
        let reason = NoGpu::OldDriver { driver: written(12080), needed: written(13000) };
        assert!(reason.to_string().contains("up to 12.8, libtorch needs 13.0"), "{reason}");
    }

    #[test]
    fn signs_of_a_gpu_are_seen_in_the_file_system() {
        let root = tempfile::tempdir().unwrap();
        assert!(!has_sign(root.path()));
        std::fs::create_dir(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/null"), "").unwrap();
        assert!(!has_sign(root.path()));
        std::fs::write(root.path().join("dev/nvidiactl"), "").unwrap();
        assert!(has_sign(root.path()));
    }

    #[test]
    fn a_library_beside_libtorch_that_does_not_load_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let libtorch = Libtorch { folder: Some(folder.path().to_owned()), version: None };
        std::fs::write(folder.path().join(LIBRARY), "no library").unwrap();
        let Err(NoGpu::NotLoaded(reason)) = load(&libtorch) else { panic!("a text file was loaded") };
        assert!(reason.contains(LIBRARY) && !reason.contains('\n'), "{reason}");
    }
}
