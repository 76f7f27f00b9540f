//! What went wrong inside libtorch, as a sentence.

use std::any::Any;

/// What follows a cause: where in C++ it arose, and advice to who wrote the program.
const AFTER: [&str; 4] =
    ["Exception raised from", "CUDA kernel errors might be", "Search for `cuda", " frame #0: "];
/// What a call that does not return its error puts before it, quoted.
const PANIC: &str = "called `Result::unwrap()` on an `Err` value: Torch(\"";

/// The cause alone, in one line: libtorch adds to it where in C++ and where in the network it arose, over many
/// lines. Any other text stays, its lines joined.
pub fn one_line(text: &str) -> String {
    let quoted = text.strip_prefix(PANIC).map(|rest| rest.replace("\\n", "\n").replace("\\\"", "\""));
    let text = quoted.as_deref().unwrap_or(text);
    let text = AFTER.iter().fold(text, |text, after| text.split(after).next().unwrap_or(text));
    // What the process holds, and how its allocator could be set, is of no use to who reads a report.
    let text = match text.find("CUDA out of memory.") {
        Some(start) => text[start..].split_inclusive(" is free.").next().unwrap_or(text),
        None => text,
    };
    // The interpreter of TorchScript tells its way first, and the cause at the end.
    let cause = match text.find("Traceback of TorchScript") {
        None => text,
        Some(traceback) => {
            let told = ["RuntimeError:", "Error:"].iter().find_map(|sign| text.rfind(sign));
            let told = told.filter(|&at| at > traceback);
            told.map_or(&text[..traceback], |at| &text[at..])
        }
    };
    cause.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a panic said, in one line: most of libtorch's errors arrive so.
pub fn of_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    format!("a fault inside the monitor: {}", one_line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_one_line() {
        let plain = "The size of tensor a (3) must match\nException raised from infer_size at x.cpp:30 (most recent\nframe #0: c10";
        assert_eq!(one_line(plain), "The size of tensor a (3) must match");
        let script = "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, \
            serialized code (most recent call last):\n  File \"code/__torch__.py\", line 9, in forward\n    _0 = 1\n         \
            ~~~ <--- HERE\nRuntimeError: mat1 and mat2\nmust fit\nException raised from meta";
        assert_eq!(one_line(script), "RuntimeError: mat1 and mat2 must fit");
        let memory = "inference failed: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't \
            allocate memory. Error code 12 (Cannot allocate memory)\n frame #0: c10::ThrowEnforceNotMet(char const*)";
        assert!(one_line(memory).ends_with("(Cannot allocate memory)"));
        assert_eq!(one_line("one line"), "one line");
    }

    /// As libtorch says it, and as a panic quotes that.
    #[test]
    fn a_gpu_without_memory_is_told_in_one_line() {
        let told = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which \
            5.12 MiB is free.";
        let whole = format!(
            "{told} Process 7 has 70.1 GiB memory in use. Including non-PyTorch memory, this process has 8.9 GiB \
             memory in use. If reserved but unallocated memory is large try setting\n\
             PYTORCH_ALLOC_CONF=expandable_segments:True.\nException raised from malloc at /x/y.cpp:1 (most recent\n\
             frame #0: c10::Error"
        );
        assert_eq!(one_line(&whole), told);
        let quoted =
            format!("called `Result::unwrap()` on an `Err` value: {:?}", tch::TchError::Torch(whole));
        let panic = std::panic::catch_unwind(|| std::panic::panic_any(quoted.clone()));
        assert_eq!(of_panic(panic.unwrap_err().as_ref()), format!("a fault inside the monitor: {told}"));
        let other = "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API \
            call.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1";
        assert_eq!(one_line(other), "CUDA error: out of memory");
    }

    #[test]
    fn a_panic_of_libtorch_is_told_in_one_line() {
        let of = |values: &[f32]| tch::Tensor::from_slice(values);
        let panic = std::panic::catch_unwind(|| of(&[1., 2.]) + of(&[1.; 3])).unwrap_err();
        let line = of_panic(panic.as_ref());
        assert!(
            line.starts_with("a fault inside the monitor: The size of tensor a (2) must match"),
            "{line}"
        );
        assert!(!line.contains("\\n") && !line.contains("frame #"), "{line}");
    }

    #[test]
    fn an_error_of_libtorch_has_one_line() {
        let error =
            tch::Tensor::from_slice(&[1f32, 2.]).f_add(&tch::Tensor::from_slice(&[1f32; 3])).unwrap_err();
        let (whole, line) = (error.to_string(), one_line(&error.to_string()));
        assert!(whole.lines().count() > 1 && line.lines().count() == 1, "{line}");
        assert!(line.contains("size of tensor a (2)") && !line.contains("frame #"), "{line}");
    }
}
