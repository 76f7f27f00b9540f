//! Where and in which precision the networks run: what a person may ask for, and what this machine
//! makes of it.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use tch::{Device, Kind};

mod gpu;
mod library;
pub mod machine;

pub use gpu::{NoGpu, gpus, why_none};
pub use library::Gpu;
#[cfg(feature = "train")]
pub(crate) use library::KeptMemory;
#[cfg(feature = "ros")]
pub(crate) use library::trim_memory;

/// Where the networks shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// On the first GPU, where libtorch sees one.
    #[default]
    Auto,
    /// On the CPU.
    Cpu,
    /// On the GPU of that number, from 0.
    Cuda(usize),
}

impl DeviceChoice {
    /// What a person may write.
    pub(crate) const ACCEPTED: &str = "auto, cpu, cuda or cuda:N";

    /// The device that is meant, if this machine has it. A GPU that is likely there and cannot be used is warned
    /// of with the reason.
    pub fn resolve(self) -> Result<Device, ComputeError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if why_none().is_none() => Ok(Device::Cuda(0)),
            Self::Auto => {
                if let Some(remark) = self.remark() {
                    tracing::warn!("{remark}");
                }
                Ok(Device::Cpu)
            }
            Self::Cuda(index) => {
                let found = gpus().as_ref().map_err(Clone::clone);
                if let Ok(gpus) = found
                    && index >= gpus.len()
                {
                    return Err(ComputeError::NoSuchDevice { device: self, count: gpus.len() });
                }
                let usable = found.and_then(|_| gpu::try_out(index));
                usable.map_err(|reason| ComputeError::NoGpu { device: self, reason })?;
                Ok(Device::Cuda(index))
            }
        }
    }

    /// Why the CPU is taken where a GPU is likely there and was not declined, in a line.
    pub fn remark(self) -> Option<String> {
        let asked = self == Self::Auto;
        asked.then(gpu::unused).flatten().map(|reason| format!("no GPU is used: {reason}"))
    }
}

impl FromStr for DeviceChoice {
    type Err = ComputeError;

    fn from_str(text: &str) -> Result<Self, ComputeError> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|index| index.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| ComputeError::UnknownDevice(text.into())),
        }
    }
}

impl Display for DeviceChoice {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// The arithmetic in which the networks shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// fp16 on a GPU, bf16 on a CPU that computes in it, fp32 elsewhere.
    #[default]
    Auto,
    /// 32 bits.
    Fp32,
    /// The upper half of those.
    Bf16,
    /// IEEE half precision.
    Fp16,
}

impl Precision {
    /// What a person may write.
    pub(crate) const WORDS: &[&str] = &["auto", "fp32", "bf16", "fp16"];

    /// The kind of tensor that is meant on `device`, if the device computes in it.
    pub fn resolve(self, device: Device) -> Result<Kind, ComputeError> {
        match (self, device) {
            (Self::Auto, Device::Cpu) => Ok(if cpu_has_bf16() { Kind::BFloat16 } else { Kind::Float }),
            (Self::Fp16, Device::Cpu) => Err(ComputeError::HalfOnCpu),
            (Self::Auto | Self::Fp16, _) => Ok(Kind::Half),
            (Self::Fp32, _) => Ok(Kind::Float),
            (Self::Bf16, _) => Ok(Kind::BFloat16),
        }
    }

    /// The same for training: fp32 weights, and networks that compute in the kind returned. Gradients are too small
    /// for fp16 unless losses are scaled, which is not done here.
    pub fn resolve_for_training(self, device: Device) -> Result<Kind, ComputeError> {
        match (self, device) {
            (Self::Fp16, _) => Err(ComputeError::HalfInTraining),
            (Self::Auto, Device::Cuda(_)) => Ok(Kind::BFloat16),
            _ => self.resolve(device),
        }
    }
}

impl FromStr for Precision {
    type Err = ComputeError;

    fn from_str(text: &str) -> Result<Self, ComputeError> {
        match text {
            "auto" => Ok(Self::Auto),
            "fp32" => Ok(Self::Fp32),
            "bf16" => Ok(Self::Bf16),
            "fp16" => Ok(Self::Fp16),
            other => Err(ComputeError::UnknownPrecision(other.into())),
        }
    }
}

impl Display for Precision {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        })
    }
}

/// A device or precision that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// No device is called so.
    #[error("device is '{0}'; {accepted} is accepted", accepted = DeviceChoice::ACCEPTED)]
    UnknownDevice(String),
    /// The machine has none.
    #[error("device is '{device}', which cannot be had: {reason}")]
    NoGpu {
        /// The one asked for.
        device: DeviceChoice,
        /// Why not.
        reason: NoGpu,
    },
    /// The machine has fewer.
    #[error("device is '{device}'; libtorch sees {count} GPUs, counted from cuda:0")]
    NoSuchDevice {
        /// The one asked for.
        device: DeviceChoice,
        /// How many there are.
        count: usize,
    },
    /// No precision is called so.
    #[error("precision is '{0}'; auto, fp32, bf16 or fp16 is accepted")]
    UnknownPrecision(String),
    /// CPUs do not compute in fp16.
    #[error("precision is 'fp16'; fp16 needs a GPU; a CPU takes auto, fp32 or bf16")]
    HalfOnCpu,
    /// Training does not scale its losses.
    #[error("precision is 'fp16'; gradients are too small for fp16; training takes auto, fp32 or bf16")]
    HalfInTraining,
}

/// Whether the CPU multiplies bf16 in hardware.
fn cpu_has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_known_are_refused_by_name() {
        let error = |text: &str| text.parse::<DeviceChoice>().unwrap_err().to_string();
        assert_eq!(error("gpu"), "device is 'gpu'; auto, cpu, cuda or cuda:N is accepted");
        assert_eq!(error("cuda:x"), "device is 'cuda:x'; auto, cpu, cuda or cuda:N is accepted");
        let error = "int8".parse::<Precision>().unwrap_err().to_string();
        assert_eq!(error, "precision is 'int8'; auto, fp32, bf16 or fp16 is accepted");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for device in [DeviceChoice::Auto, DeviceChoice::Cpu, DeviceChoice::Cuda(0), DeviceChoice::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for word in Precision::WORDS {
            assert_eq!(word.parse::<Precision>().unwrap().to_string(), *word);
        }
    }

    #[test]
    fn the_cpu_is_always_there_and_auto_is_never_without_a_device() {
        assert_eq!(DeviceChoice::Cpu.resolve(), Ok(Device::Cpu));
        assert_eq!(DeviceChoice::Cpu.remark(), None);
        let expected = if why_none().is_none() { Device::Cuda(0) } else { Device::Cpu };
        assert_eq!(DeviceChoice::Auto.resolve(), Ok(expected));
        assert!(why_none().is_some() || DeviceChoice::Auto.remark().is_none());
    }

    #[test]
    fn what_the_machine_lacks_is_refused_with_what_it_has() {
        let error = DeviceChoice::Cuda(1000).resolve().unwrap_err().to_string();
        assert!(error.starts_with("device is 'cuda:1000'"), "{error}");
        match gpus() {
            Ok(gpus) => {
                assert!(error.ends_with(&format!("libtorch sees {} GPUs, counted from cuda:0", gpus.len())))
            }
            Err(reason) => assert!(error.ends_with(&format!("which cannot be had: {reason}")), "{error}"),
        }
        let error = Precision::Fp16.resolve(Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("precision is 'fp16'") && error.contains("a CPU takes"), "{error}");
        assert_eq!(Precision::Fp16.resolve(Device::Cuda(0)), Ok(Kind::Half));
        assert_eq!(Precision::Auto.resolve_for_training(Device::Cuda(0)), Ok(Kind::BFloat16));
        let refused = Precision::Fp16.resolve_for_training(Device::Cuda(0));
        assert_eq!(refused, Err(ComputeError::HalfInTraining));
    }
}
