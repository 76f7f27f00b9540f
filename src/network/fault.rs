//! What went wrong inside libtorch, as a sentence.

/// The cause alone, in one line: libtorch adds to it where in C++ and where in the network it arose, over many
/// lines. Any other text stays, its lines joined.
pub fn one_line(text: &str) -> String {
    // Where in C++; after that comes nothing else.
    let text = text.split("Exception raised from").next().unwrap_or(text);
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
        assert_eq!(one_line("one line"), "one line");
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
