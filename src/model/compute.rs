//! Where and in which precision the networks run.

use tch::{Device, Kind};

use super::bundle::BundleError;

/// Parses `auto`, `cpu`, `cuda` or `cuda:N`; `auto` takes the first GPU, where libtorch sees one.
pub fn device(text: &str) -> Result<Device, BundleError> {
    let wrong = |expected: String| BundleError::Option { field: "device", value: text.into(), expected };
    let index = match text {
        "auto" => return Ok(Device::cuda_if_available()),
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        other => match other.strip_prefix("cuda:").and_then(|n| n.parse().ok()) {
            Some(index) => index,
            None => return Err(wrong("auto, cpu, cuda or cuda:N is accepted".into())),
        },
    };
    let count = tch::Cuda::device_count();
    if (index as i64) < count {
        return Ok(Device::Cuda(index));
    }
    Err(wrong(format!("libtorch sees {count} CUDA devices")))
}

/// Parses `auto`, `fp32`, `bf16` or `fp16`; `auto` takes fp16 on a GPU, bf16 on a CPU that computes in
/// it, and fp32 elsewhere.
pub fn precision(text: &str, device: Device) -> Result<Kind, BundleError> {
    let wrong = |expected: &str| BundleError::Option {
        field: "precision",
        value: text.into(),
        expected: expected.into(),
    };
    match (text, device) {
        ("auto", Device::Cpu) => Ok(if cpu_has_bf16() { Kind::BFloat16 } else { Kind::Float }),
        ("auto", _) => Ok(Kind::Half),
        ("fp32", _) => Ok(Kind::Float),
        ("bf16", _) => Ok(Kind::BFloat16),
        ("fp16", Device::Cpu) => Err(wrong("fp16 needs a GPU; a CPU takes auto, fp32 or bf16")),
        ("fp16", _) => Ok(Kind::Half),
        _ => Err(wrong("auto, fp32, bf16 or fp16 is accepted")),
    }
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
        let error = device("gpu").unwrap_err().to_string();
        assert!(error.contains("device is 'gpu'") && error.contains("cuda:N"), "{error}");
        let error = precision("int8", Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("precision is 'int8'") && error.contains("bf16"), "{error}");
        assert!(precision("fp16", Device::Cpu).is_err());
    }
}
