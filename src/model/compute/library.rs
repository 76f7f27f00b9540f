//! What is called in libraries that are loaded while the program runs: libtorch's CUDA part, CUDA's run time that
//! it brings, and NVIDIA's driver. None of them is needed to build, or to run on a CPU. And in the C library, what not
//! every one has.

use std::ffi::{CStr, c_char, c_int};
use std::fmt::{Display, Formatter};
use std::path::Path;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// CUDA's number for: there is no device.
pub(super) const NO_DEVICE: c_int = 100;
/// CUDA's number for: the driver is older than the run time.
pub(super) const OLD_DRIVER: c_int = 35;
/// The driver, by the name that every version of it has.
const DRIVER: &str = "libcuda.so.1";
/// Numbers of a device's attributes: compute capability.
const CAPABILITY: [c_int; 2] = [75, 76];

/// A GPU that libtorch can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// As its maker calls it.
    pub name: String,
    /// Bytes of its memory.
    pub memory: u64,
    /// Compute capability: major, minor.
    pub capability: (u32, u32),
}

impl Display for Gpu {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { name, memory, capability: (major, minor) } = self;
        let gigabytes = *memory as f64 / f64::from(1 << 30);
        write!(f, "{name}, {gigabytes:.1} GiB, compute capability {major}.{minor}")
    }
}

/// A call that CUDA refused.
#[derive(Debug)]
pub(super) struct Failure {
    /// CUDA's number for it.
    pub code: c_int,
    /// CUDA's words for it.
    pub words: String,
}

/// Loads a library for good, all of it at once, and for libtorch to see.
pub(super) fn load(name: &Path) -> Result<&'static Library, libloading::Error> {
    Ok(Box::leak(Box::new(open(name)?)))
}

#[expect(unsafe_code)]
fn open(name: &Path) -> Result<Library, libloading::Error> {
    // Sound as far as the library is: its initializers run, as those of every library that is linked do.
    unsafe { Library::open(Some(name), RTLD_NOW | RTLD_GLOBAL) }
}

/// Calls a function of CUDA that returns its number for the outcome; `None` where the library has no such function.
macro_rules! call {
    ($library:expr, $name:literal, $type:ty, $($argument:expr),*) => {{
        // Sound: CUDA declares the function so, and the arguments outlive the call.
        unsafe { $library.get::<$type>($name).ok().map(|function| function($($argument),*)) }
    }};
}

/// Gives the system the memory that nothing uses, where the C library can, as glibc does. What lies between blocks in
/// use it would keep, and more and more of it as errors come and go.
#[cfg(any(feature = "ros", feature = "train", test))]
#[expect(unsafe_code)]
pub(crate) fn trim_memory() {
    // Sound: glibc declares it so, and it locks what it works on.
    let _ = call!(Library::this(), b"malloc_trim\0", extern "C" fn(usize) -> c_int, 0);
}

/// Settings of glibc's allocator by their numbers, what they are while memory is kept, and what they are after: what may
/// stay free at the end of the heap, by how much the heap grows, from which size on a block lies outside of it, and how
/// many may. After, they are what glibc itself arrives at where large blocks come and go; it no longer moves them once
/// they were set.
#[cfg(feature = "train")]
const SETTINGS: [(c_int, c_int, c_int); 4] =
    [(-1, c_int::MAX, 64 << 20), (-2, 1 << 26, 128 << 10), (-3, 32 << 20, 32 << 20), (-4, 0, 65536)];

/// While it lives, the C library keeps what is freed for what is asked for next, where it can, as glibc does. A step
/// of training frees as much as the next one takes; the system, which hands out pages of zeros, took a third of the
/// time. Where results are kept between what is freed, the heap would grow and grow.
#[cfg(feature = "train")]
pub(crate) struct KeptMemory(());

#[cfg(feature = "train")]
impl KeptMemory {
    /// From now on.
    pub fn begin() -> Self {
        SETTINGS.iter().for_each(|&(setting, kept, _)| set_allocator(setting, kept));
        Self(())
    }
}

#[cfg(feature = "train")]
impl Drop for KeptMemory {
    fn drop(&mut self) {
        SETTINGS.iter().for_each(|&(setting, _, after)| set_allocator(setting, after));
        trim_memory();
    }
}

#[cfg(feature = "train")]
#[expect(unsafe_code)]
fn set_allocator(setting: c_int, value: c_int) {
    // Sound: glibc declares it so, and it locks what it works on.
    let _ = call!(Library::this(), b"mallopt\0", extern "C" fn(c_int, c_int) -> c_int, setting, value);
}

/// The words of a call that names its words in C.
#[expect(unsafe_code)]
fn words(text: *const c_char) -> Option<String> {
    // Sound: CUDA gives a constant of its own, or nothing.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// CUDA's run time, which comes with libtorch's CUDA part.
pub(super) struct Runtime(&'static Library);

impl Runtime {
    /// The one that `library` brings; `None` where it hides it.
    #[expect(unsafe_code)]
    pub fn of(library: &'static Library) -> Option<Self> {
        // Sound: asked for, not called.
        let has = unsafe { library.get::<extern "C" fn()>(b"cudaGetDeviceCount\0").is_ok() };
        has.then_some(Self(library))
    }

    /// How many devices it sees.
    #[expect(unsafe_code)]
    pub fn device_count(&self) -> Result<c_int, Failure> {
        let mut count = 0;
        let code = call!(self.0, b"cudaGetDeviceCount\0", extern "C" fn(*mut c_int) -> c_int, &mut count);
        match code.unwrap_or_default() {
            0 => Ok(count),
            code => {
                let text =
                    call!(self.0, b"cudaGetErrorString\0", extern "C" fn(c_int) -> *const c_char, code);
                let words = text.and_then(words).unwrap_or_else(|| format!("CUDA's error {code}"));
                Err(Failure { code, words })
            }
        }
    }

    /// Its version, as 1000 times the major and 10 times the minor.
    #[expect(unsafe_code)]
    pub fn version(&self) -> Option<c_int> {
        let mut version = 0;
        call!(self.0, b"cudaRuntimeGetVersion\0", extern "C" fn(*mut c_int) -> c_int, &mut version)?;
        Some(version)
    }
}

/// NVIDIA's driver.
pub(super) struct Driver(Library);

impl Driver {
    /// Loads it.
    pub fn open() -> Result<Self, libloading::Error> {
        open(Path::new(DRIVER)).map(Self)
    }

    /// Starts it, which finds the devices.
    #[expect(unsafe_code)]
    pub fn start(&self) -> Result<(), Failure> {
        match call!(self.0, b"cuInit\0", extern "C" fn(u32) -> c_int, 0) {
            Some(0) => Ok(()),
            None => Err(Failure { code: -1, words: format!("{DRIVER} has no cuInit") }),
            Some(code) => {
                let mut text: *const c_char = std::ptr::null();
                call!(
                    self.0,
                    b"cuGetErrorString\0",
                    extern "C" fn(c_int, *mut *const c_char) -> c_int,
                    code,
                    &mut text
                );
                let words = words(text).unwrap_or_else(|| format!("CUDA's error {code}"));
                Err(Failure { code, words })
            }
        }
    }

    /// The version of CUDA that it serves, as the run time counts.
    #[expect(unsafe_code)]
    pub fn version(&self) -> Option<c_int> {
        let mut version = 0;
        call!(self.0, b"cuDriverGetVersion\0", extern "C" fn(*mut c_int) -> c_int, &mut version)?;
        Some(version)
    }

    /// What it says of a device.
    #[expect(unsafe_code)]
    pub fn describe(&self, index: usize) -> Gpu {
        let mut device: c_int = 0;
        let index = c_int::try_from(index).unwrap_or(c_int::MAX);
        call!(self.0, b"cuDeviceGet\0", extern "C" fn(*mut c_int, c_int) -> c_int, &mut device, index);
        let mut name = [0 as c_char; 128];
        // One byte stays zero, whatever is written.
        let room = name.len() as c_int - 1;
        let text = name.as_mut_ptr();
        call!(
            self.0,
            b"cuDeviceGetName\0",
            extern "C" fn(*mut c_char, c_int, c_int) -> c_int,
            text,
            room,
            device
        );
        let mut memory = 0usize;
        call!(
            self.0,
            b"cuDeviceTotalMem_v2\0",
            extern "C" fn(*mut usize, c_int) -> c_int,
            &mut memory,
            device
        );
        let [major, minor] = CAPABILITY.map(|attribute| {
            let mut value: c_int = 0;
            let pointer = &raw mut value;
            type Ask = extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
            call!(self.0, b"cuDeviceGetAttribute\0", Ask, pointer, attribute, device);
            u32::try_from(value).unwrap_or_default()
        });
        let name = words(name.as_ptr()).filter(|name| !name.is_empty()).unwrap_or_else(|| "GPU".into());
        Gpu { name, memory: memory as u64, capability: (major, minor) }
    }
}

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    use super::*;

    /// Bytes that the process holds.
    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[test]
    fn memory_between_blocks_in_use_goes_back_to_the_system() {
        // 200 MB in small blocks, of which few stay: the system gets none of it by itself.
        let mut blocks: Vec<Vec<u8>> = (0..200_000).map(|_| vec![1; 1000]).collect();
        let mut number = 0;
        blocks.retain(|_| {
            number += 1;
            number % 64 == 0
        });
        let before = resident();
        trim_memory();
        let after = resident();
        assert!(after + 100_000_000 < before, "{before} before, {after} after");
        assert!(blocks.iter().all(|block| block[..] == [1; 1000]));
    }
}
